"""Completion in bash, which takes `@` and `:` for the ends of words: names of targets and channels have them inside."""

import os
import sys
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Final

_BREAKS: Final = ("@", ":")
_ASKED: Final = "_TIDEGATE_COMPLETE"
_BASH: Final = "complete_bash"


def asked_by_bash(environ: MutableMapping[str, str]) -> bool:
    """Whether this is a completion for bash, and not a command."""
    return environ.get(_ASKED) == _BASH and {"COMP_WORDS", "COMP_CWORD"} <= environ.keys()


def complete_for_bash(app: Callable[[], object]) -> None:
    """Run the program's completion with whole words, and answer with what is left of each after the last break."""
    words = os.environ["COMP_WORDS"].split("\n")
    bashs = int(os.environ["COMP_CWORD"])
    whole, at = glued(words, bashs)
    os.environ["COMP_WORDS"], os.environ["COMP_CWORD"] = "\n".join(whole), str(at)
    begun = begun_part(whole[at], words[bashs]) if bashs < len(words) else ""
    answer = StringIO()
    try:
        with redirect_stdout(answer):
            app()
    finally:
        for line in answer.getvalue().splitlines():
            print(line.removeprefix(begun), file=sys.stdout)


def glued(words: Sequence[str], at: int) -> tuple[list[str], int]:
    """Bash's words put together again at `@` and `:`, and which of them the word `at` is in."""
    whole: list[str] = []
    place = at
    joins = False
    for number, word in enumerate(words):
        if number > 1 and (joins or word[:1] in _BREAKS):
            whole[-1] += word
        else:
            whole.append(word)
        joins = bool(word) and not word.strip("@:")
        if number == at:
            place = len(whole) - 1
    return whole, place if at < len(words) else at - len(words) + len(whole)


def begun_part(whole: str, word: str) -> str:
    """What bash has of a whole word already and does not want again, where `word` is its own one at the cursor.

    It wants an `@` again before which it broke: readline keeps that as a prefix.
    """
    kept = "" if word == ":" else word
    return whole.removesuffix(kept).removesuffix("@")
