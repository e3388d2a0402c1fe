"""Names for the shell's completion, asked of the manager; nothing where it does not answer at once."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Any, Final
from zoneinfo import available_timezones

from tidegate.cli.fleet.errors import FleetError
from tidegate.cli.fleet.model import read_channel, read_release, read_rollout

PATIENCE_S: Final = 1.5
_PAGE: Final = "500"
_MOST_PAGES: Final = 20
_LEAST_DIGITS: Final = 6
Item = Mapping[str, Any]


def complete_target(incomplete: str) -> list[str]:
    """PROJECT@AGENT/SERVICE."""
    return _names("targets", lambda one: [str(one.get("name", ""))], incomplete)


def complete_cluster(incomplete: str) -> list[str]:
    """PROJECT@AGENT."""
    return _names("clusters", lambda one: [str(one.get("name", ""))], incomplete)


def complete_channel(incomplete: str) -> list[str]:
    """REPOSITORY:TAG as people write it, or in full where that is how it was begun."""
    return _names("channels", lambda one: [read_channel(one).familiar, read_channel(one).name], incomplete)


def complete_release(incomplete: str) -> list[str]:
    """A version, or a digest where it was begun."""
    digits = len(incomplete) >= _LEAST_DIGITS
    return _names("releases", lambda one: _spellings(one, digits=digits), incomplete)


def complete_rollout(incomplete: str) -> list[tuple[str, str]]:
    """A rollout's number, with what it is about."""
    rollouts = [read_rollout(one) for one in _items("rollouts", pages=1)]  # the newest
    return [
        (str(one.id), f"{one.state} {one.channel} {one.what}") for one in rollouts if str(one.id).startswith(incomplete)
    ]


def complete_agent(incomplete: str) -> list[str]:
    """An agent's name."""
    return _names("agents", lambda one: [str(one.get("name", ""))], incomplete)


def complete_window(incomplete: str) -> list[str]:
    """A window's name or id."""
    return _names("windows", _name_or_id, incomplete)


def complete_freeze(incomplete: str) -> list[str]:
    """A freeze's name or id."""
    return _names("freezes", _name_or_id, incomplete)


def complete_quarantined(incomplete: str) -> list[str]:
    """The id of an entry in quarantine, or its digest where that was begun."""
    digits = len(incomplete) >= _LEAST_DIGITS
    return _names("quarantine", lambda one: [str(one.get("id", "")), *_digests(one, digits=digits)], incomplete)


def complete_token(incomplete: str) -> list[str]:
    """The id or the name of a token that was not revoked."""
    return _names("tokens", lambda one: [] if one.get("revoked_at") else _id_or_name(one), incomplete)


def complete_user(incomplete: str) -> list[str]:
    """Somebody who has, or had, a token."""
    return _names("tokens", lambda one: [str(one.get("user", ""))], incomplete)


def complete_enrolment(incomplete: str) -> list[str]:
    """The id of a token that lets an agent in, or the name of that agent."""
    return _names(
        "agents/enrolments",
        lambda one: [str(one.get("name") or ""), str(one["id"])],
        incomplete,
        only={"usable": "true"},
    )


def complete_alert(incomplete: str) -> list[tuple[str, str]]:
    """The number of an open alert, with what it is about."""
    alerts = [(str(one.get("id", "")), one) for one in _items("alerts", only={"open": "true"})]
    return [(id_, f"{one.get('rule')} {one.get('subject')}") for id_, one in alerts if id_.startswith(incomplete)]


def complete_label(incomplete: str) -> list[str]:
    """NAME=VALUE as clusters have it."""
    labels = {f"{name}={value}" for one in _items("clusters") for name, value in (one.get("labels") or {}).items()}
    return sorted(one for one in labels if one.startswith(incomplete))


def complete_zone(incomplete: str) -> list[str]:
    """A time zone, as this machine knows them."""
    return sorted(one for one in available_timezones() if one.startswith(incomplete))


def complete_action(incomplete: str) -> list[str]:
    """An action that the audit log has among its last entries."""
    return _of_audit("action", incomplete)


def complete_actor(incomplete: str) -> list[str]:
    """Who did one of them."""
    return _of_audit("actor", incomplete)


def complete_subject(incomplete: str) -> list[str]:
    """What one of them was done to."""
    return _of_audit("subject", incomplete)


def complete_anything(incomplete: str) -> list[str]:
    """What can be rolled back: a cluster, a target or a channel."""
    return complete_cluster(incomplete) + complete_target(incomplete) + complete_channel(incomplete)


def _of_audit(field: str, incomplete: str) -> list[str]:
    found = {str(one.get(field, "")) for one in _items("audit", pages=1)}
    return sorted(one for one in found if one and one.startswith(incomplete))


def _spellings(item: Item, *, digits: bool) -> list[str]:
    return [read_release(item).version, *_digests(item, digits=digits)]


def _digests(item: Item, *, digits: bool) -> list[str]:
    digest = str(item.get("digest", ""))
    return [digest] + ([digest.rpartition(":")[2]] if digits else [])


def _name_or_id(item: Item) -> list[str]:
    return [str(item.get("name", "")), str(item.get("id", ""))]


def _id_or_name(item: Item) -> list[str]:
    return _name_or_id(item)[::-1]


def _names(path: str, spellings: Callable[[Item], list[str]], incomplete: str, only: Item | None = None) -> list[str]:
    """Of each thing the first spelling that goes on from what was written."""
    found = []
    for item in _items(path, only=only):
        fitting = [one for one in spellings(item) if one and one.startswith(incomplete)]
        found += fitting[:1]
    return sorted(set(found))


def _items(path: str, pages: int = _MOST_PAGES, only: Item | None = None) -> list[dict[str, Any]]:
    """A list, or what a filter leaves of it, as far as the manager has told it in time."""
    found: list[dict[str, Any]] = []
    with contextlib.suppress(FleetError, TimeoutError, OSError):
        asyncio.run(_ask(path, pages, found, only or {}))
    return found


async def _ask(path: str, pages: int, found: list[dict[str, Any]], only: Item) -> None:
    from tidegate.cli.fleet.client import Manager  # noqa: PLC0415 - a completion of options needs no HTTP
    from tidegate.cli.fleet.login import find_login  # noqa: PLC0415 - as above

    async with asyncio.timeout(PATIENCE_S), Manager(find_login(os.environ), timeout_s=PATIENCE_S, tries=1) as manager:
        after: str | None = None
        for _ in range(pages):
            document = (await manager.get(*path.split("/"), **only, limit=_PAGE, after=after)).document
            page = document if isinstance(document, dict) else {}
            found += page.get("items") or []
            after = page.get("next")
            if after is None:
                return
