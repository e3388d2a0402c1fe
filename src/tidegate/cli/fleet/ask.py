"""Asking before what is wide."""

import sys
from collections.abc import Collection

from tidegate.cli.fleet.errors import FAILED, FleetError, UsageError


class DeclinedError(FleetError):
    """The person who was asked said no."""

    code = FAILED


def confirm(what: str, targets: Collection[str], *, yes: bool) -> None:
    """Ask before something that moves more than one target, given by their names.

    Raises `DeclinedError` for a no, and `UsageError` where nobody can be asked and `--yes` was not given.
    """
    if yes or len(targets) <= 1:
        return
    ask(f"{what}: {reach(targets)}.", yes=yes)


def ask(what: str, *, yes: bool) -> None:
    """Ask, however wide it is; raises as `confirm` does."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{what}\nThere is no terminal to ask at: write --yes if that is meant.")
    print(f"{what} Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise DeclinedError("Nothing was done.")


def reach(targets: Collection[str]) -> str:
    """How many targets, and in how many clusters."""
    clusters = {one.partition("/")[0] for one in targets}
    return f"{_many(len(targets), 'target')} in {_many(len(clusters), 'cluster')}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
