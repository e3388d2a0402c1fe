"""Tables for people, JSON for programs."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tidegate.agent.command_rows import HistoryRow, StatusRow
from tidegate.agent.plan_row import Action, PlanRow
from tidegate.agent.store.quarantine import QuarantineEntry

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_HEX_SHOWN = 12
_WIDTH_OF_A_FILE = 200
_STYLES = {
    Action.UPDATE: "green",
    Action.MONITOR: "yellow",
    Action.SKIP: "dim",
    "healthy": "green",
    "unhealthy": "red",
    "committed": "green",
    "rolled-back": "red",
    "rolled_back": "red",
}


def print_json(rows: Sequence["DataclassInstance"]) -> None:
    """The rows as a list of objects with the rows' field names."""
    print(json.dumps([asdict(row) for row in rows], indent=2))


def print_plan(rows: Sequence[PlanRow], *, no_color: bool) -> None:
    """What would happen to each container, and why."""
    _print(
        ("container", "image", "running", "latest", "action", "strategy", "why"),
        (
            (
                row.container,
                row.image,
                short_digest(row.running_digest),
                short_digest(row.latest_digest),
                row.action,
                row.strategy,
                "; ".join(part for part in (row.reason, row.strategy_reason) if part),
            )
            for row in rows
        ),
        no_color=no_color,
        empty="There is no container on this engine.",
    )


def print_status(rows: Sequence[StatusRow], *, no_color: bool) -> None:
    """The selected containers now."""
    _print(
        ("container", "image", "state", "health", "running", "last update", "at", "quarantined", "in progress"),
        (
            (
                row.container,
                row.image,
                row.state,
                row.health,
                short_digest(row.running_digest),
                row.last_outcome,
                row.last_at,
                ", ".join(map(short_digest, row.quarantined)),
                row.transaction,
            )
            for row in rows
        ),
        no_color=no_color,
        empty="No container is selected; `tidegate agent plan` says why.",
    )


def print_history(rows: Sequence[HistoryRow], *, no_color: bool) -> None:
    """Transactions, the newest last."""
    _print(
        ("at", "target", "image", "from", "to", "strategy", "outcome", "seconds", "detail"),
        (
            (
                row.at,
                f"{row.cluster}/{row.service}" if row.cluster else row.container,
                row.image,
                short_digest(row.from_digest),
                short_digest(row.to_digest),
                row.strategy,
                row.outcome,
                f"{row.seconds:.1f}",
                row.detail,
            )
            for row in rows
        ),
        no_color=no_color,
        empty="Nothing has been updated yet.",
    )


def print_quarantine(rows: Sequence[QuarantineEntry], *, no_color: bool) -> None:
    """Digests that are not tried again."""
    _print(
        ("target", "repository", "digest", "release", "since", "reason"),
        ((row.target, row.repository, short_digest(row.digest), row.release, row.since, row.reason) for row in rows),
        no_color=no_color,
        empty="Nothing is in quarantine.",
    )


def short_digest(digest: str | None) -> str:
    """`sha256:` and the first twelve digits; enough to name it to `quarantine release` and `rollback --to`."""
    algorithm, colon, digits = (digest or "").partition(":")
    return f"{algorithm}{colon}{digits[:_HEX_SHOWN]}"


def _print(head: Sequence[str], rows: Iterable[Sequence[Any]], *, no_color: bool, empty: str) -> None:
    # None leaves the choice to NO_COLOR and to whether the output is a terminal
    console = Console(no_color=no_color or None)
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_FILE
    table = Table(box=box.SIMPLE, pad_edge=False)
    for title in head:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell or ""), style=_STYLES.get(cell, "")) for cell in row))
    if table.row_count:
        console.print(table)
    else:
        console.print(empty, markup=False)
