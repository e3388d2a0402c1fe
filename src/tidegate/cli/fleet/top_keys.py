"""Keys as a terminal sends them: bytes to names, or to the letters that they write."""

import codecs
import re
from collections.abc import Iterator
from typing import Final

_NAMED: Final = {
    "\x1b[A": "up",
    "\x1bOA": "up",
    "\x1b[B": "down",
    "\x1bOB": "down",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    "\x1b[H": "home",
    "\x1bOH": "home",
    "\x1b[1~": "home",
    "\x1b[7~": "home",
    "\x1b[F": "end",
    "\x1bOF": "end",
    "\x1b[4~": "end",
    "\x1b[8~": "end",
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x15": "clear",
    "\x1b": "escape",
}
_KEY: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1bO[ -~]|\x1b(?![\[O])|[^\x1b]")
_BEGUN: Final = re.compile(r"\x1b(\[[0-9;?]*[ -/]*|O)?\Z")


class Keys:
    """Reads what comes piece by piece; a sequence may be cut in two anywhere."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._rest = ""

    @property
    def begun(self) -> bool:
        """Whether there is an Escape, of which it is not known yet whether a sequence begins with it."""
        return bool(self._rest)

    def read(self, data: bytes) -> list[str]:
        """The keys of this piece: names, or one letter each. What is not known is left out."""
        text = self._rest + self._decoder.decode(data)
        found = _BEGUN.search(text)
        self._rest = text[found.start() :] if found else ""
        return list(_keys(text.removesuffix(self._rest)))

    def rest(self) -> list[str]:
        """Nothing more came for a while: an Escape was the key."""
        text, self._rest = self._rest, ""
        return ["escape"] if text == "\x1b" else []


def _keys(text: str) -> Iterator[str]:
    for found in _KEY.finditer(text):
        key = found[0]
        if key in _NAMED:
            yield _NAMED[key]
        elif key.isprintable():
            yield key
