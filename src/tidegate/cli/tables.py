"""Tables for people, JSON for programs."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tidegate.agent.command_rows import HistoryRow, StatusRow
from tidegate.agent.plan_row import Action, PlanRow
from tidegate.agent.store.quarantine import QuarantineEntry

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_HEX_SHOWN = 12
_LEAST_WIDTH = 20
_WIDTH_OF_A_FILE = 200
_LEAST_PROSE = 40
_EDGES = 2
_INDENT = "  "
_STYLES = {
    Action.UPDATE: "green",
    Action.MONITOR: "yellow",
    Action.SKIP: "dim",
    "healthy": "green",
    "unhealthy": "red",
    "committed": "green",
    "rolled-back": "red",
    "rolled_back": "red",
    "completed": "green",
    "failed": "red",
    "not_put_back": "red",
    "paused": "yellow",
    "inconclusive": "yellow",
    "interrupted": "yellow",
    "busy": "yellow",
    "offline": "yellow",
    "critical": "red",
    "warning": "yellow",
    "awaiting_approval": "yellow",
}


def print_json(rows: Sequence["DataclassInstance"]) -> None:
    """The rows as a list of objects with the rows' field names."""
    print(json.dumps([asdict(row) for row in rows], indent=2))


def print_plan(rows: Sequence[PlanRow], *, no_color: bool) -> None:
    """What would happen to each container, and why."""
    print_table(
        ("container", "image", "running", "latest", "action", "strategy", "why"),
        (
            (
                row.container,
                short_image(row.image),
                short_digest(row.running_digest),
                short_digest(row.latest_digest),
                row.action,
                row.strategy,
                "; ".join(part for part in (row.reason, row.strategy_reason, _lost(row)) if part),
            )
            for row in sorted(rows, key=lambda row: row.container)
        ),
        no_color=no_color,
        empty="There is no container on this engine.",
    )


def _lost(row: PlanRow) -> str:
    """What goes with the old container, in words."""
    if not row.lost or row.action not in {Action.UPDATE, Action.MONITOR}:
        return ""
    return f"what is in tmpfs {', '.join(row.lost)} does not outlast the update"


def print_status(rows: Sequence[StatusRow], *, no_color: bool) -> None:
    """The selected containers now."""
    print_table(
        ("container", "state", "health", "running", "last update", "at", "quarantined", "in progress", "image"),
        (
            (
                row.container,
                row.state,
                row.health,
                short_digest(row.running_digest),
                row.last_outcome,
                short_time(row.last_at),
                ", ".join(map(short_digest, row.quarantined)),
                row.transaction,
                short_image(row.image),
            )
            for row in sorted(rows, key=lambda row: row.container)
        ),
        no_color=no_color,
        empty="No container is selected; `tidegate agent plan` says why.",
    )
    if any(row.decided_by == "manager" for row in rows):
        print("What is updated here, and when: it is for the manager to say.")
    for updater in dict.fromkeys(row.updater for row in rows if row.updater is not None):
        counts = None if updater.scans is None else updater_words(asdict(updater))
        print(f"Updater: {'; '.join(safe(part) for part in (counts, updater.trouble) if part)}.")


def updater_words(counts: Mapping[str, Any]) -> str:
    """What a Watchtower that updates in an agent's place counts."""
    if not counts.get("scans"):
        return "Watchtower, no scan yet"
    numbers = {name: counts.get(name) or 0 for name in ("scanned", "updated", "failed")}
    return "Watchtower, last scan: " + ", ".join(f"{count} {name}" for name, count in numbers.items())


def print_history(rows: Sequence[HistoryRow], *, no_color: bool) -> None:
    """Transactions, the newest last."""
    print_table(
        ("at", "target", "from", "to", "strategy", "outcome", "seconds", "image", "detail"),
        (
            (
                short_time(row.at),
                f"{row.cluster}/{row.service}" if row.cluster else row.container,
                short_digest(row.from_digest),
                short_digest(row.to_digest),
                row.strategy,
                row.outcome,
                f"{row.seconds:.1f}",
                short_image(row.image),
                row.detail,
            )
            for row in rows
        ),
        no_color=no_color,
        empty="Nothing has been updated yet.",
    )


def print_output(rows: Sequence[HistoryRow]) -> None:
    """What containers wrote last that failed, below the table of `print_history`."""
    for row in rows:
        if row.output:
            print(f"\n{row.container}, {short_time(row.at)}:")
            print("\n".join(f"  {safe(line)}" for line in row.output.splitlines()))


def print_quarantine(rows: Sequence[QuarantineEntry], *, no_color: bool) -> None:
    """Digests that are not tried again."""
    print_table(
        ("target", "digest", "since", "release", "reason"),
        ((row.target, short_digest(row.digest), short_time(row.since), row.release, row.reason) for row in rows),
        no_color=no_color,
        empty="Nothing is in quarantine.",
    )


def short_digest(digest: str | None) -> str:
    """The first twelve digits; enough to name it to `quarantine release` and `rollback --to`."""
    return (digest or "").rpartition(":")[2][:_HEX_SHOWN]


def short_image(image: str) -> str:
    """An image reference with its digest, if it has one, cut short."""
    name, at, digest = image.partition("@")
    return f"{name}{at}{short_digest(digest)}"


def short_time(at: str | None) -> str:
    """An ISO time to the second, in UTC; what is none stays as it is."""
    try:
        return f"{datetime.fromisoformat(at or '').astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return at or ""


def print_table(head: Sequence[str], rows: Iterable[Sequence[Any]], *, no_color: bool | None, empty: str) -> None:
    """A table whose last column is prose; on a narrow terminal the prose goes on lines of its own.

    `no_color` None: as the environment's NO_COLOR says.
    """
    console = Console(no_color=no_color)
    console.width = width_of(console)
    cells = [[_text(cell) for cell in row] for row in rows]
    if not cells:
        console.print(empty, markup=False)
    elif _width(head, cells) + _room_for_prose(head, cells) <= console.width:
        console.print(_table(head, cells))
    else:
        _print_narrow(console, head, cells)


def width_of(console: Console) -> int:
    """How wide what is printed there may be: wider in a file than on a terminal, and never nothing at all."""
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal():
        return max(console.width, _LEAST_WIDTH)
    return console.width if console.is_terminal else _WIDTH_OF_A_FILE


def _print_narrow(console: Console, head: Sequence[str], cells: Sequence[Sequence[Text]]) -> None:
    """Each row as a few lines: its first cell and the others by their titles, the prose."""
    for *others, prose in cells:
        named = [(title, cell) for title, cell in zip(head[:-1], others, strict=True) if cell.plain]
        marks = sum(1 for _ in takewhile(lambda one: not one[0], named))  # without a title, such as !
        first, facts = named[: marks + 1], named[marks + 1 :]
        console.print(Text(" ").join(_titled(title, Text(cell.plain, style="bold")) for title, cell in first))
        for text in (Text(", ").join(_titled(title, cell) for title, cell in facts), prose):
            for line in text.wrap(console, console.width - len(_INDENT)) if text.plain else ():
                line.rstrip()
                console.print(Text(_INDENT) + line, soft_wrap=True)


def _titled(title: str, cell: Text) -> Text:
    return Text.assemble((title, "dim"), " " if title else "", cell)


def _width(head: Sequence[str], cells: Sequence[Sequence[Text]]) -> int:
    """How wide the columns before the prose are, with the space between them."""
    columns = zip(head[:-1], *(row[:-1] for row in cells), strict=True)
    return sum(max(cell_len(str(cell)) for cell in column) + 3 for column in columns)


def _room_for_prose(head: Sequence[str], cells: Sequence[Sequence[Text]]) -> int:
    """How wide the prose has to be at least, with the table's edges; what is short takes no more than it needs."""
    widest = max(cell_len(str(one)) for one in (head[-1], *(row[-1] for row in cells)))
    return min(_LEAST_PROSE, widest + _EDGES)


def _table(head: Sequence[str], cells: Sequence[Sequence[Text]]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for title in head[:-1]:
        table.add_column(title, no_wrap=True)
    table.add_column(head[-1], overflow="fold")
    for row in cells:
        table.add_row(*row)
    return table


def _text(cell: object) -> Text:
    text = "" if cell is None else safe(str(cell))
    return Text(text, style=_STYLES.get(text, ""))


def safe(text: str) -> str:
    """The text without what would move a terminal's cursor or turn its writing round: images' labels are anybody's."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
