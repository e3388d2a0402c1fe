"""Engines, a registry and images for tests and the demo.

    ground.py install [--engine bookworm|trixie|all]
    ground.py run [--engine bookworm|trixie] [--dir DIR] [--keep] -- COMMAND...
    ground.py exec --dir DIR -- COMMAND...
    ground.py outside -- COMMAND...

`run` without --engine uses the Docker engine that answers already; else, and with --engine always, it starts a
private one as root on Debian. Everything it started is gone when COMMAND ends, however it ends.
`exec` runs a command inside a `run --dir DIR` that is still going, from another terminal. A private engine and what
runs with it have a network of their own, without a way to the machine's: `outside`, used within, is that way.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from groundwork import packages, run
from groundwork.paths import ENGINES, GroundError


def main(argv: list[str]) -> int:
    """Do what the command line says; the result is the exit status."""
    parser = _parser()
    options = parser.parse_args(argv)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if options.verb != "install" and not command:
        parser.error("no command to run: write it after --")
    try:
        if options.verb == "install":
            packages.install(list(ENGINES) if options.engine == "all" else [options.engine])
            return 0
        if options.verb == "exec":
            return run.join(Path(options.dir), command)
        if options.verb == "outside":
            return run.outside(command)
        return run.run(options.engine, Path(options.dir) if options.dir else None, command, keep=options.keep)
    except GroundError as error:
        print(f"ground: {error}", file=sys.stderr)
        return 125


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    install = verbs.add_parser("install", help="fetch the programs")
    install.add_argument("--engine", choices=[*ENGINES, "all"], default="all")
    install.set_defaults(command=[])
    start = verbs.add_parser("run", help="run a command with an engine and a registry")
    start.add_argument("--engine", choices=[*ENGINES], help="start a private engine of this Debian release")
    start.add_argument("--dir", help="where the private engine keeps its data (default: a new folder)")
    start.add_argument("--keep", action="store_true", help="leave that folder for inspection")
    start.add_argument("command", nargs=argparse.REMAINDER)
    join = verbs.add_parser("exec", help="run a command inside a ground that is up")
    join.add_argument("--dir", required=True)
    join.add_argument("command", nargs=argparse.REMAINDER)
    out = verbs.add_parser("outside", help="from within a ground: run a command with the machine's network")
    out.add_argument("command", nargs=argparse.REMAINDER)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
