"""What is wrong with a command's words, in plain ones: the library's are about its own types."""

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, Final

import typer
from typer.core import TyperGroup

_NEAR: Final = 0.6
_ONE_OF: Final = re.compile(r"'(.*)' is not one of ('[^']*'(?:, '[^']*')*)\.?", re.DOTALL)
_WORDS: Final[tuple[tuple[str, str], ...]] = (
    (r"Value error, ", ""),
    (r"Input should be a valid integer.*", "it takes a whole number."),
    (r"Input should be a valid number.*", "it takes a number."),
    (r"Input should be greater than or equal to (\S+)", r"the least that it takes is \1."),
    (r"Input should be less than or equal to (\S+)", r"the most that it takes is \1."),
)


class PlainGroup(TyperGroup):
    """The program's commands; who writes what they do not take is told so in plain words."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was written."""
        return in_plain_words(lambda: super(PlainGroup, self).invoke(ctx))


def in_plain_words(work: Callable[[], Any]) -> Any:
    """Do it; what it refuses of an option or an argument is refused in plain words."""
    try:
        return work()
    except typer.BadParameter as error:
        error.message = plain(error.message)
        raise


def plain(message: str) -> str:
    """The library's message, or any other one as it is, with the word that may have been meant."""
    for pattern, words in _WORDS:
        message = re.sub(pattern, words, message, flags=re.DOTALL)
    found = _ONE_OF.fullmatch(message)
    if not found:
        return message
    near = did_you_mean(found[1], re.findall(r"'([^']*)'", found[2]))
    return f"{message} {near}".rstrip()


def did_you_mean(word: str, known: list[str]) -> str:
    """A question with what is near the word; empty where nothing is."""
    close = get_close_matches(word, known, n=1, cutoff=_NEAR)
    return f"Did you mean {close[0]}?" if close else ""
