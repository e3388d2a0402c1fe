"""Edits that lose nothing: an edit names the edition that it was made from."""

import re
from typing import Annotated

from fastapi import Depends, Header
from starlette.responses import Response

from tidegate.manager.api.problems import CONDITION_NEEDED, STALE, Problem

HEADER = "If-Match"
_FORM = re.compile(r'"(\d{1,18})"', re.ASCII)
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
            detail = f'{what} was changed meanwhile (it is at "{edition}"); read it again and repeat the edit.'
            raise Problem(STALE, "stale", detail)


def _edition(
    text: Annotated[
        str | None,
        Header(alias=HEADER, max_length=100, description="The ETag of what the edit was made from, or `*`."),
    ] = None,
) -> Edition:
    if text is None:
        detail = f"An edit takes {HEADER} with the ETag of what was read, so that nobody's edit is lost."
        raise Problem(CONDITION_NEEDED, "condition-needed", detail)
    if text.strip() == _ANY:
        return Edition(None)
    found = _FORM.fullmatch(text.strip())
    return Edition(int(found[1]) if found is not None else -1)


EditionHere = Annotated[Edition, Depends(_edition)]
