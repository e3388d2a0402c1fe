"""The fields of a form that a page sends, and what is wrong with them."""

from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from fastapi import Request
from pydantic import BaseModel, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.api.problems import CONFLICT, INVALID, Problem, invalid
from tidegate.manager.api.refused import faults

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")
_TYPE = "application/x-www-form-urlencoded"
_MOST = 50
_BODY = "body."
LONGEST_REASON = 500
_MOST_DIGITS = 18


async def fields(request: Request) -> Mapping[str, str]:
    """By names; of a name that is there twice, the last. Raises `Problem`."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _TYPE:
        raise invalid("header.Content-Type", f"it takes {_TYPE}")
    try:
        pairs = parse_qsl(
            (await request.body()).decode(), keep_blank_values=True, strict_parsing=False, max_num_fields=_MOST,
            encoding="utf-8", errors="strict",
        )  # fmt: skip
    except ValueError:
        raise invalid("body", f"it is no form that can be read; it has at most {_MOST} fields, in UTF-8") from None
    found = dict(pairs)
    for name, value in found.items():
        if "\x00" in name + value:
            raise invalid(f"body.{name}".replace("\x00", "?"), "it holds a NUL character")
    return found


def filled_in(model: type[M], given: Mapping[str, Any]) -> M:
    """What a form asks for, as the API takes it. Raises `Problem`."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        found = faults([{**one, "loc": ("body", *one["loc"])} for one in error.errors()], model)
        told = "; ".join(f"{one.field}: {one.message}" for one in found)
        raise Problem(INVALID, "invalid", told, errors=found) from None


async def attempt(conn: AsyncConnection, work: Awaitable[T]) -> T | Problem:
    """What came of it, or what a form that is shown again says of it; nothing was done then. Raises `Problem`."""
    try:
        async with conn.begin_nested():
            return await work
    except Problem as problem:
        if problem.status not in {INVALID, CONFLICT}:
            raise
        return problem


def said(problem: Problem) -> str:
    """What is wrong, by the names that a form's fields have; without a full stop."""
    if not problem.errors:
        return problem.detail.removesuffix(".")
    return "; ".join(f"{one.field.removeprefix(_BODY)}: {one.message}" for one in problem.errors)


def reason_of(given: Mapping[str, str]) -> str:
    """Why something is done, in the form's words. Raises `Problem`."""
    reason = given.get("reason", "").strip()
    if len(reason) > LONGEST_REASON:
        raise invalid("body.reason", f"it has more than {LONGEST_REASON} characters")
    return reason


def edition_of(given: Mapping[str, str]) -> int:
    """The edition that the form was made from. Raises `Problem`."""
    edition = given.get("edition", "")
    if not (edition.isascii() and edition.isdecimal()) or len(edition) > _MOST_DIGITS:
        raise invalid("body.edition", "it takes the number of the edition that was looked at")
    return int(edition)
