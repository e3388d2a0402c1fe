"""Many values, piece by piece: a database takes some hundreds of them in one statement, or some thousands."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
MOST = 500


def pieces(values: Sequence[T], most: int = MOST) -> Iterator[Sequence[T]]:
    """The values in their order, at most `most` at a time; nothing where there are none."""
    for start in range(0, len(values), most):
        yield values[start : start + most]
