"""Completion in bash, which takes `@`, `:` and `=` for the ends of words: names and labels have them inside."""

import os
import sys
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Final

_BREAKS: Final = ("@", ":")
_EQUALS: Final = "="
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
    """Bash's words put together again at `@` and `:`, and which of them the word `at` is in.

    At `=`, too, but for that between an option and its value.
    """
    whole: list[str] = []
    place = at
    joins = False
    for number, word in enumerate(words):
        if number > 1 and (joins or word[:1] in _BREAKS or _is_label(word, whole[-1])):
            whole[-1] += word
        else:
            whole.append(word)
        joins = bool(word) and not word.strip("@:=") and whole[-1] != _EQUALS
        if number == at:
            place = len(whole) - 1
    return whole, place if at < len(words) else at - len(words) + len(whole)


def _is_label(word: str, before: str) -> bool:
    """Whether a word that begins so goes on from the one before it."""
    return word[:1] == _EQUALS and not before.startswith("-")


def begun_part(whole: str, word: str) -> str:
    """What bash has of a whole word already and does not want again, where `word` is its own one at the cursor.

    It wants an `@` again before which it broke: readline keeps that as a prefix.
    """
    kept = "" if word in {":", _EQUALS} else word
    return whole.removesuffix(kept).removesuffix("@")
