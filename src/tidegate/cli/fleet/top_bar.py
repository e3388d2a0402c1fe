"""How far a wave is, as a bar of letters: told apart without colours, too."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rich.text import Text


@dataclass(frozen=True, slots=True)
class Part:
    """Targets that are at one of these places: the letter for them, the one of a terminal with few, the colour."""

    places: tuple[str, ...]
    letter: str
    plain: str
    style: str


PARTS: Final = (
    Part(("healthy",), "█", "#", "green"),
    Part(("went_back",), "█", "<", "yellow"),
    Part(("updating", "offered", "busy"), "▓", "=", "cyan"),
    Part(("failed", "inconclusive", "not_put_back"), "▚", "x", "red"),
    Part(("waiting",), "░", ".", "dim"),
    Part(("offline", "skipped", "left_alone"), "·", "-", "dim"),
)


def bar(counts: Mapping[str, int], width: int, *, plain: bool = False) -> Text:
    """A bar of this width; every part that there is has one letter at least, where there is room."""
    text = Text()
    for part, cells in zip(PARTS, _cells([_count(counts, one) for one in PARTS], width), strict=True):
        text.append((part.plain if plain else part.letter) * cells, style=part.style)
    text.append(" " * (width - len(text.plain)))
    return text


def _count(counts: Mapping[str, int], part: Part) -> int:
    return sum(counts.get(place, 0) for place in part.places)


def _cells(counts: list[int], width: int) -> list[int]:
    """So many letters for each, in all as many as there is room for."""
    total = sum(counts)
    if not total:
        return [0] * len(counts)
    cells = [max(1, count * width // total) if count else 0 for count in counts]
    while sum(cells) > width:
        cells[cells.index(max(cells))] -= 1
    while sum(cells) < width:
        short = [count * width / total - cell if count else -width for count, cell in zip(counts, cells, strict=True)]
        cells[short.index(max(short))] += 1
    return cells
