"""Edits that lose nothing: an edit names the edition that it was made from."""

import re
from typing import Annotated

from fastapi import Depends, Header
from starlette.responses import Response

from tidegate.manager.api.problems import CONDITION_NEEDED, STALE, Problem, invalid

HEADER = "If-Match"
_FORM = re.compile(r'(?:W/)?"(\d{1,18})"', re.ASCII)
"""A proxy that compresses answers makes a weak one of ours; it is the same edition."""
_OTHER = re.compile(r'(W/)?"[^"]*"')
"""An ETag, and none that is given here."""
_ANY = "*"


def set_etag(response: Response, edition: int) -> None:
    """Say which edition this is."""
    response.headers["ETag"] = f'"{edition}"'


class Edition:
    """The edition that an edit was made from; None: whichever it is (`If-Match: *`)."""

    def __init__(self, number: int | None) -> None:
        self.number = number

    def check(self, edition: int, what: str) -> None:
        """Raises `Problem` where it is another by now."""
        if self.number is not None and self.number != edition:
            raise self.stale(what)

    def stale(self, what: str) -> Problem:
        """What is answered where it is another by now."""
        return Problem(STALE, "stale", f"{what} was changed meanwhile; read it again, and repeat what you meant to do.")


_Sent = Annotated[
    str | None,
    Header(alias=HEADER, max_length=100, description="The ETag of what the edit was made from, or `*`."),
]


def _edition(text: _Sent = None) -> Edition:
    if text is None:
        detail = f"An edit takes {HEADER} with the ETag of what was read, so that nobody's edit is lost."
        raise Problem(CONDITION_NEEDED, "condition-needed", detail)
    return _edition_if_given(text)


def _edition_if_given(text: _Sent = None) -> Edition:
    text = _ANY if text is None else text.strip()
    if text == _ANY:
        return Edition(None)
    found = _FORM.fullmatch(text)
    if found is None and _OTHER.fullmatch(text) is None:
        raise invalid(f"header.{HEADER}", 'it takes one ETag as it was given, with its quotes, such as "1"; or *')
    return Edition(int(found[1]) if found is not None else -1)


EditionHere = Annotated[Edition, Depends(_edition)]
EditionIfGiven = Annotated[Edition, Depends(_edition_if_given)]
"""Where an order may leave it out: then it is meant whichever edition it is."""
