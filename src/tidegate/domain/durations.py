"""Lengths of time as people write them: `10s`, `5m`, `1h30m`, `250ms`, or a plain number of seconds."""

import re
from datetime import timedelta

EXAMPLES = "a duration such as 250ms, 10s, 5m, 1h30m, or a plain number of seconds"

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_PLAIN = re.compile(r"\d+(?:\.\d+)?")
_LONGEST_S = 3660 * 86400.0


def parse_duration(text: str) -> float:
    """Seconds. Raises ValueError for what is not a duration, is negative or is longer than ten years."""
    text = text.strip()
    if _PLAIN.fullmatch(text):
        seconds = float(text)
    elif _WHOLE.fullmatch(text):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    else:
        raise ValueError(f"{text!r} is not {EXAMPLES}")
    if seconds > _LONGEST_S:
        raise ValueError(f"{text!r} is longer than ten years")
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest form that `parse_duration` reads back, to the millisecond: `1h30m`, `1s500ms`, `0s`."""
    left = round(seconds * 1000)
    parts = []
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def duration_text(duration: timedelta) -> str:
    """The same of a difference of times."""
    return format_duration(duration.total_seconds())
