"""What operators fill in for a window or a freeze, read as the API reads it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from fastapi import Request

from tidegate.domain.windows import WindowError, parse_freeze
from tidegate.manager.api.problems import invalid
from tidegate.manager.api.routes.freezes import FreezeIn
from tidegate.manager.api.routes.windows import WindowIn
from tidegate.manager.console.form import fields, filled_in


@dataclass(frozen=True, slots=True)
class Filled:
    """A form as it was sent; of `channel` there may be several."""

    fields: Mapping[str, str]
    channels: Sequence[str]

    def get(self, name: str) -> str:
        """One field, empty where it is not there."""
        return self.fields.get(name, "").strip()

    @property
    def sure(self) -> bool:
        """Whether somebody was asked, and said yes."""
        return self.get("sure") == "yes"


async def filled(request: Request) -> Filled:
    """The form of a request. Raises `Problem`."""
    given = await fields(request)
    return Filled(given, parse_qs((await request.body()).decode()).get("channel", []))


def read_window(form: Filled, zone: str, now: datetime) -> WindowIn:
    """Raises `Problem`."""
    del now
    window = " ".join(one for one in (form.get("cron"), form.get("lasts"), form.get("zone") or zone) if one)
    return filled_in(WindowIn, _rule(form) | {"window": window})


def read_freeze(form: Filled, zone: str, now: datetime) -> FreezeIn:
    """Times without a zone are in the one that the form names. Raises `Problem`."""
    begins, ends = form.get("starts") or now.isoformat(), form.get("ends")
    if not ends:
        raise invalid("body.to", "it takes the date or time at which it ends")
    try:
        found = parse_freeze(f"{begins}/{ends}", default_zone=form.get("zone") or zone)
    except WindowError as error:
        raise invalid("body.from and to", str(error)) from error
    if found.end.astimezone(UTC) <= now:
        raise invalid("body.to", "that is over already, so it would hold nothing back")
    moments = {"starts_at": _text(found.start), "ends_at": _text(found.end)}
    return filled_in(FreezeIn, _rule(form) | moments | {"reason": form.get("reason")})


def _rule(form: Filled) -> dict[str, Any]:
    """What windows and freezes have in common."""
    scope = {
        "channels": [int(one) for one in form.channels if one.isascii() and one.isdecimal()],
        "clusters": _lines(form.get("clusters")),
        "labels": _labels(form.get("labels")),
    }
    return {"name": form.get("name"), "scope": scope}


def _labels(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in _lines(text):
        name, equals, value = line.partition("=")
        if not (name and equals):
            raise invalid("body.labels", f"{line!r} is not NAME=VALUE, such as ring=early")
        if found.setdefault(name, value) != value:
            raise invalid("body.labels", f"{name} is given two values, {found[name]!r} and {value!r}; it takes one")
    return found


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
