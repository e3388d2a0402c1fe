"""What no request may hold, whatever it is for: values that databases or JSON do not take."""

import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, NoReturn
from urllib.parse import unquote

from starlette.requests import Request

from tidegate.manager.api.problems import INVALID, Fault, Problem

_SUSPICIOUS = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_WRONG_TEXT = re.compile("[\x00\ud800-\udfff]")
_TOO_DEEP = 40
_MOST_DIGITS = 40


def check_address(request: Request) -> None:
    """Refuse a path or a query with a NUL. Raises `Problem`."""
    if "\x00" in request.url.path or "\x00" in unquote(request.url.query):
        raise _wrong("query", "it holds a NUL character")


def check_json(request: Request, body: bytes) -> None:
    """Refuse a body that is no JSON, or holds what cannot be kept. Raises `Problem`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        detail = f"The body is {kind or 'of no type'}; it takes Content-Type: application/json."
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail)
    try:
        document = json.loads(body.decode(), parse_constant=_not_json, parse_int=_whole)
    except RecursionError:
        raise _wrong("body", f"it is nested deeper than {_TOO_DEEP} levels, the most that it takes") from None
    except ValueError as error:
        raise _wrong("body", f"it is not JSON that can be read: {error}") from None
    if _depth_exceeds(document, _TOO_DEEP):
        raise _wrong("body", f"it is nested deeper than {_TOO_DEEP} levels, the most that it takes")
    if _SUSPICIOUS.search(body) and any(_WRONG_TEXT.search(text) for text in _texts(document)):
        raise _wrong("body", "it holds a NUL character or half a character")


def _not_json(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits, more than the {_MOST_DIGITS} that are read")
    return int(digits)


def _depth_exceeds(value: Any, most: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return most < 0 or any(_depth_exceeds(one, most - 1) for one in inner)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        yield from (text for one in value.values() for text in _texts(one))
    elif isinstance(value, list):
        yield from (text for one in value for text in _texts(one))


def _wrong(field: str, message: str) -> Problem:
    return Problem(INVALID, "invalid", f"{field}: {message}", errors=[Fault(field, message)])
