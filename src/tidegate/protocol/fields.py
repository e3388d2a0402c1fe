"""Reading JSON objects: strict about the type of what is known, silent about what is not."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from tidegate.domain.reference import is_digest

LONGEST = 4096
"""How many characters a text may have."""

_LARGEST = 2**53
T = TypeVar("T")


class MessageError(ValueError):
    """A message cannot be read; `field` is where (`events[3].at`), `why` what is wrong with it and what is accepted."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(field, why)
        self.field = field
        self.why = why

    def __str__(self) -> str:
        return f"{self.field or 'the message'}: {self.why}"


class Fields:
    """One JSON object. A getter without `default` demands the field; null counts as missing."""

    def __init__(self, value: Any, at: str = "") -> None:
        if not isinstance(value, Mapping):
            raise MessageError(at, "it is no JSON object")
        self._value = value
        self._at = at

    def text(self, name: str, default: str | None = None, *, most: int = LONGEST) -> str:
        """A string without NUL; one that is demanded is not empty."""
        found: str = self._found(name, default, "a string of Unicode characters without NUL", _is_text)
        if len(found) > most:
            raise MessageError(self.where(name), f"it has {len(found)} characters; at most {most} are accepted")
        if default is None and not found:
            raise MessageError(self.where(name), "it is empty")
        return found

    def text_or_none(self, name: str) -> str | None:
        """A string, or nothing."""
        return self.text(name, "") or None

    def digest(self, name: str) -> str:
        """A digest."""
        found = self.text(name)
        if not is_digest(found):
            raise MessageError(self.where(name), "it is no digest; sha256: and 64 hex digits are")
        return found

    def digest_or_none(self, name: str) -> str | None:
        """A digest, or nothing."""
        return self.digest(name) if self._value.get(name) else None

    def whole(self, name: str, default: int | None = None, *, least: int = 0, most: int = _LARGEST) -> int:
        """A whole number."""
        found: int = self._found(name, default, "a whole number", _is_whole)
        if not least <= found <= most:
            raise MessageError(self.where(name), f"it is {found}; from {least} to {most} are accepted")
        return found

    def yes(self, name: str, default: bool | None = None) -> bool:
        """True or false."""
        found: bool = self._found(name, default, "true or false", lambda value: isinstance(value, bool))
        return found

    def seconds(self, name: str) -> float:
        """A duration that is not negative."""
        found = self._found(name, None, "a number", _is_number)
        if found < 0:
            raise MessageError(self.where(name), "it is negative")
        return float(found)

    def seconds_or_none(self, name: str) -> float | None:
        """A duration that is not negative, or nothing."""
        return None if self._value.get(name) is None else self.seconds(name)

    def time(self, name: str, default: datetime | None = None) -> datetime:
        """A time with its zone, as UTC."""
        if default is not None and self._value.get(name) is None:
            return default
        try:
            found = datetime.fromisoformat(self.text(name))
            if found.tzinfo is not None:
                return found.astimezone(UTC)
        except (ValueError, OverflowError) as error:
            if isinstance(error, MessageError):
                raise
        raise MessageError(self.where(name), "it is no RFC 3339 time with a zone, such as 2026-11-25T12:00:00Z")

    def each(
        self, name: str, read: Callable[["Fields"], T], *, most: int, default: Sequence[object] | None = None
    ) -> tuple[T, ...]:
        """A list of objects, each read by `read`; an empty one is no error."""
        found = self._found(name, default, "a list", lambda value: isinstance(value, list))
        if len(found) > most:
            raise MessageError(self.where(name), f"it has {len(found)} entries; at most {most} are accepted")
        return tuple(read(Fields(value, f"{self.where(name)}[{index}]")) for index, value in enumerate(found))

    def part_or_none(self, name: str, read: Callable[["Fields"], T]) -> T | None:
        """An object read by `read`, or nothing."""
        value = self._value.get(name)
        return None if value is None else read(Fields(value, self.where(name)))

    def one_of(self, name: str, accepted: Callable[[str], T], names: tuple[str, ...]) -> T:
        """One of several words, as what `accepted` makes of it."""
        found = self.text(name)
        if found not in names:
            raise MessageError(self.where(name), f"it is {found[:40]!r}; accepted are {', '.join(names)}")
        return accepted(found)

    def where(self, name: str) -> str:
        """The full name of a field."""
        return f"{self._at}.{name}" if self._at else name

    def _found(self, name: str, default: Any, kind: str, fits: Callable[[Any], bool]) -> Any:
        value = self._value.get(name)
        if value is None:
            if default is None:
                raise MessageError(self.where(name), f"it is missing; {kind} is accepted")
            return default
        if not fits(value):
            raise MessageError(self.where(name), f"it is not {kind}")
        return value


def write_time(at: datetime) -> str:
    """RFC 3339 in UTC, to the microsecond where there are any."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def clipped(text: str) -> str:
    """A text that is for people, no longer than a reader accepts."""
    text = text.replace("\0", " ")
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value and _is_unicode(value)


def _is_unicode(value: str) -> bool:
    """JSON may spell half a surrogate pair, which no database and no file takes."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST
