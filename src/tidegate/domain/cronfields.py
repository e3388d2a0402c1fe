"""What a five-field cron expression may say; when it occurs is computed elsewhere."""

import re
from dataclasses import dataclass

_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAY_NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTHS = dict(zip(_MONTH_NAMES, range(1, 13), strict=True))
_DAYS = dict(zip(_DAY_NAMES, range(7), strict=True))


@dataclass(frozen=True, slots=True)
class _Field:
    """One field: its name, the numbers it takes, the names for them, and what else may stand there."""

    name: str
    low: int
    high: int
    names: dict[str, int]
    special: str = r"(?!)"

    def number(self, word: str) -> int | None:
        """The number a word stands for, or None."""
        value = self.names.get(word.upper())
        if value is None and word.isascii() and word.isdigit():
            value = int(word)
        return value if value is not None and self.low <= value <= self.high else None

    def takes(self, term: str) -> bool:
        """Whether one term between commas is `*`, a number, a range or a special, with a step or without."""
        base, slash, step = term.partition("/")
        if slash and not (step.isascii() and step.isdigit() and int(step) > 0):
            return False
        if base == "*" or (not slash and re.fullmatch(self.special, base, re.IGNORECASE)):
            return True
        first, dash, last = base.partition("-")
        low, high = self.number(first), self.number(last) if dash else self.high
        return low is not None and high is not None and low <= high


_FIELDS = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of the month", 1, 31, {}, special="L|LW"),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 7, _DAYS, special="[0-7]L|([0-7]|SUN|MON|TUE|WED|THU|FRI|SAT)#[1-5]"),
)


def complaint(cron: str) -> str | None:
    """What is wrong with a cron expression, as the end of a sentence; None when nothing is."""
    words = cron.split()
    if len(words) != len(_FIELDS):
        return (
            f"it has {len(words)} cron fields where 5 are needed: minute, hour, day of the month, month, "
            "day of the week"
        )
    for field, word in zip(_FIELDS, words, strict=True):
        if not all(field.takes(term) for term in word.split(",")):
            return (
                f"its {field.name} {word!r} is not a number from {field.low} to {field.high}, "
                "a range, a list, a step or *"
            )
    return None
