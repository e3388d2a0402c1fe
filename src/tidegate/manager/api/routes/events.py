"""What happens, as it happens."""

from contextlib import ExitStack
from typing import Annotated, Any

from fastapi import Header, Query
from starlette.responses import Response

from tidegate.domain.values import near_miss, split_list
from tidegate.manager.api.access import needs
from tidegate.manager.api.change import PartsHere
from tidegate.manager.api.event_stream import EventStream
from tidegate.manager.api.problems import TOO_MANY, Problem, invalid
from tidegate.manager.api.router import router as make_router
from tidegate.manager.people.roles import Permission
from tidegate.manager.people.tokens import Who
from tidegate.manager.telling.kinds import KINDS
from tidegate.manager.telling.parts import hub as make_hub
from tidegate.manager.telling.streams import TooManyStreamsError

router = make_router("events")
_MOST_KINDS = 32
_MOST_DIGITS = 15
_TAKES = "a number that an event had as its id, or nothing"
_SAYS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events. `event` is the kind, `id` the number in the feed, `data` JSON with `id`, "
        "`at`, `kind`, `subject` and `data`. An event `reset` says that what was asked for is not to be had any more: "
        "load anew, and go on from its id. Comments are signs of life, every 15 s.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.get("/events", response_class=Response, responses=_SAYS)
async def follow_events(
    parts: PartsHere,
    who: Annotated[Who, needs(Permission.READ)],
    after: Annotated[str, Query(max_length=64, description="Go on after this id; without it, from now on.")] = "",
    kinds: Annotated[
        str, Query(max_length=1000, description="Only kinds that begin so, such as `rollout.,agent.`, by commas.")
    ] = "",
    last_event_id: Annotated[
        str, Header(max_length=64, description="The same as `after`, by which browsers resume; it wins.")
    ] = "",
) -> Response:
    """Follow what happens: resumable, without loss and without doubles."""
    number = _number("header.last-event-id", last_event_id)
    if number is None:
        number = _number("query.after", after)
    hub = parts.one(make_hub)
    there = await hub.extent()
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(hub.opened(who.token_id, _kinds(kinds)))
        except TooManyStreamsError as error:
            detail = f"{error}."
            raise Problem(TOO_MANY, "too-many-streams", detail, headers={"Retry-After": "10"}) from error
        return EventStream(hub.follow(stream, number, there), stack.pop_all())


def _number(field: str, text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > _MOST_DIGITS:
        raise invalid(field, f"{text[:_MOST_DIGITS]!r} is no id of an event; it takes {_TAKES}")
    return int(text)


def _kinds(text: str) -> tuple[str, ...]:
    found = tuple(split_list(text))
    if len(found) > _MOST_KINDS:
        raise invalid("query.kinds", f"it has {len(found)} kinds; it takes at most {_MOST_KINDS}, separated by commas")
    for one in found:
        if not any(kind.startswith(one) for kind in KINDS):
            there = sorted(KINDS)
            message = f"no event is of a kind that begins with {one[:100]!r}.{near_miss(one, there)}"
            raise invalid("query.kinds", f"{message} There are {', '.join(there)}", accepted=there)
    return found
