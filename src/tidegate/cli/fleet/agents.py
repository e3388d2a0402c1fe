"""`tidegate agents`: who looks after clusters, who may join, and who may no more."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final

import typer

from tidegate.cli.fleet import find
from tidegate.cli.fleet.ask import ask, reach
from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.complete import complete_enrolment
from tidegate.cli.fleet.errors import UsageError
from tidegate.cli.fleet.names import find_named
from tidegate.cli.fleet.options import (
    TIMEOUT_S,
    AgentName,
    AsJson,
    Labels,
    Reason,
    Timeout,
    Yes,
    group,
    one_of,
    pairs,
    yes_or_no,
)
from tidegate.cli.fleet.secrets import room_for, shown_once
from tidegate.cli.fleet.session import finish, show_all
from tidegate.cli.fleet.show import complain, labels_text, print_json, print_rows, say, short_time, updater_words
from tidegate.domain.durations import parse_duration

agents = group("The agents beside clusters.")

_NO_AGENT: Final = "No agent has joined yet; `tidegate agents enrol` makes a token for one."
_NO_ENROLMENT: Final = "There is no token with which an agent can join; `tidegate agents enrol` makes one."

Expires = Annotated[str | None, typer.Option("--expires", metavar="DURATION", help="Such as 1h or 30d.")]
Out = Annotated[str | None, typer.Option("--out", metavar="FILE", help="Write the token there, and show it nowhere.")]


@agents.command("list")
def agents_list(
    *,
    revoked: Annotated[
        bool | None,
        typer.Option("--revoked/--not-revoked", metavar="", help="Only those that were cut off, or only the others."),
    ] = None,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Show the agents."""
    show = _print if revoked is None else partial(_print, empty="There is no such agent.")
    show_all("agents", show=show, as_json=as_json, timeout_s=timeout_s, revoked=yes_or_no(revoked))


@agents.command("enrol")
def agents_enrol(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The only name that it is good for.")] = None,
    *,
    labels: Labels = None,
    expires: Expires = None,
    out: Out = None,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Make a token with which one agent can join, once."""

    async def work(manager: Manager) -> None:
        body = {"name": name, "labels": pairs(labels) or None, "expires_in": seconds(expires)}
        body = {key: value for key, value in body.items() if value is not None}
        if name is not None:
            await _warn(manager, name)
        with room_for(out) as file:
            document = (await manager.write("POST", "agents", "enrolments", body=body)).document
            shown_once(document, file, as_json=as_json, what=f"for {name or 'one agent'}", undo="agents withdraw")
        variable = f"TIDEGATE_ENROL_TOKEN{'_FILE' if out else ''}"
        complain(f"The agent takes it as {variable}, beside TIDEGATE_MANAGER={manager.url}.")

    finish(work, timeout_s)


@agents.command("enrolments")
def agents_enrolments(
    *,
    everything: Annotated[
        bool, typer.Option("--all", metavar="", help="Also those that let nobody in any more.")
    ] = False,
    spent: Annotated[bool, typer.Option("--spent", metavar="", help="Only those that let nobody in any more.")] = False,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Show the tokens with which an agent can still join; what they are made of is shown nowhere."""

    async def work(manager: Manager) -> None:
        usable = one_of("--all", "--spent", everything=everything, others=spent)
        items = await manager.every("agents", "enrolments", usable=usable)
        empty = "There is no such token." if spent or everything else _NO_ENROLMENT
        print_json(items) if as_json else _print_enrolments(items, empty)

    finish(work, timeout_s)


@agents.command("withdraw")
def agents_withdraw(
    which: Annotated[
        str,
        typer.Argument(metavar="ID|NAME", autocompletion=complete_enrolment, help="As `agents enrolments` shows it."),
    ],
    *,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Let a token for an agent be good for nothing, at once. An agent that has joined with it stays."""

    async def work(manager: Manager) -> None:
        items = await manager.every("agents", "enrolments", usable="true")
        one = find_named("enrolment", which, items, lambda it: str(it["id"]), lambda it: str(it.get("name")))
        await manager.write("DELETE", "agents", "enrolments", one["id"])
        told = f"Enrolment {one['id']}, for {one.get('name') or 'any agent'}, is withdrawn."
        print_json(one) if as_json else say(told)

    finish(work, timeout_s)


@agents.command("revoke")
def agents_revoke(
    name: AgentName,
    *,
    reason: Reason = None,
    yes: Yes = False,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Cut an agent off for good; it can join again only with a new token."""

    async def work(manager: Manager) -> None:
        one = await find.agent(manager, name)
        if not yes:
            clusters = await manager.every("clusters", agent=str(one["name"]))
            names = [
                str(item["name"]) for it in clusters for item in await manager.every("targets", cluster=str(it["name"]))
            ]
            ask(f"Agent {one['name']} is cut off: {reach(names)}.", yes=yes)
        body = {} if reason is None else {"reason": reason}
        document = (await manager.write("POST", "agents", str(one["name"]), "revoke", body=body)).document
        print_json(document) if as_json else say(f"Agent {one['name']} is cut off.")

    finish(work, timeout_s)


def seconds(text: str | None) -> int | None:
    """A duration as the manager takes it. Raises `UsageError`."""
    if text is None:
        return None
    try:
        given_s = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--expires: {error}.") from error
    if given_s <= 0:
        raise UsageError(f"--expires: {text!r} is no time at all; it has to be longer than 0, such as 1h.")
    return max(1, round(given_s))


async def _warn(manager: Manager, name: str) -> None:
    """Say so where an agent has this name: the manager takes no other of that name until it is revoked."""
    there = await find.known_agent(manager, name)
    if there is not None and not there.get("revoked_at"):
        complain(
            f"{name} is let in already; revoke it first (`tidegate agents revoke {name}`), or choose another name."
        )


def _print(items: list[dict[str, Any]], *, empty: str = _NO_AGENT) -> None:
    print_rows(
        ("agent", "there", "heard of at", "version", "labels", "note"),
        (
            (
                one.get("name"),
                "yes" if one.get("online") else "offline",
                short_time(one.get("last_seen_at")),
                one.get("version"),
                labels_text(one.get("labels") or {}),
                _note(one),
            )
            for one in items
        ),
        empty=empty,
    )


def _note(agent: Mapping[str, Any]) -> str:
    if agent.get("revoked_at"):
        return f"cut off at {short_time(agent['revoked_at'])}"
    updater = agent.get("updater")
    return updater_words(updater) if isinstance(updater, Mapping) else ""


def _print_enrolments(items: list[dict[str, Any]], empty: str) -> None:
    print_rows(
        ("id", "for", "labels", "made by", "made at", "expires at", "note"),
        (
            (
                one.get("id"),
                one.get("name") or "any agent",
                labels_text(one.get("labels") or {}),
                one.get("created_by"),
                short_time(one.get("created_at")),
                short_time(one.get("expires_at")),
                _what_became_of(one),
            )
            for one in items
        ),
        empty=empty,
    )


def _what_became_of(enrolment: Mapping[str, Any]) -> str:
    if enrolment.get("used_at"):
        return f"used at {short_time(enrolment['used_at'])}"
    return f"withdrawn at {short_time(enrolment['revoked_at'])}" if enrolment.get("revoked_at") else ""
