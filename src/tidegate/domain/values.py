"""Small values that labels and settings share."""

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})

BOOL_TAKES = "true or false"


def parse_bool(text: str) -> bool:
    """As Go's `strconv.ParseBool` reads it, which is what Watchtower uses. Raises ValueError."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"{text!r} is not {BOOL_TAKES}")


def split_list(text: str) -> tuple[str, ...]:
    """The items of a comma list, without blanks and empty ones."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


def near_miss(word: str, known: list[str]) -> str:
    """` Did you mean ...?` for the known word that is closest to `word`, or nothing."""
    from difflib import get_close_matches  # noqa: PLC0415 - only needed when something is misspelt

    close = get_close_matches(word, known, n=1, cutoff=0.75)
    return f" Did you mean {close[0]}?" if close else ""


def not_known(word: str, known: list[str]) -> str:
    """Why a name is refused that is none of these, with what is accepted; for a sentence's end."""
    if not known:
        return "it is not known; nothing is taken here."
    return f"it is not known.{near_miss(word, known)} Known {'is' if len(known) == 1 else 'are'} {', '.join(known)}."
