"""The command `tidegate`."""

import errno
import os
import sys

_RUN = ["agent", "run"]
_FAILED, _INTERRUPTED = 1, 130
_CANNOT_WRITE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def main() -> None:
    """Start the agent at once, without the libraries of the command line; leave all else to them."""
    arguments = sys.argv[1:]
    if arguments[:2] == _RUN:
        from tidegate.cli.lean import load_structlog_without_rich  # noqa: PLC0415 - each way loads its own part

        load_structlog_without_rich()
        from tidegate.cli.run import run_agent  # noqa: PLC0415 - as above

        sys.exit(run_agent(arguments[2:], os.environ))
    try:
        _command()
    except KeyboardInterrupt:  # before the command has begun, which sees to it itself
        sys.exit(_INTERRUPTED)
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        sys.stderr.write(f"tidegate: the output cannot be written: {error.strerror}.\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is left of it
        sys.exit(_FAILED)


def _command() -> None:
    from tidegate.cli.app import app  # noqa: PLC0415 - as above
    from tidegate.cli.bash_words import asked_by_bash, complete_for_bash  # noqa: PLC0415 - as above
    from tidegate.cli.fish_home import install_where_fish_looks  # noqa: PLC0415 - as above
    from tidegate.cli.zsh_first import complete_at_first  # noqa: PLC0415 - as above

    complete_at_first()
    install_where_fish_looks()
    if asked_by_bash(os.environ):
        complete_for_bash(lambda: app(prog_name="tidegate"))
    try:
        app(prog_name="tidegate")
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()


if __name__ == "__main__":
    main()
