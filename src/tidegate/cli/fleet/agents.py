"""`tidegate agents`: who looks after clusters, who may join, and who may no more."""

from typing import Annotated, Any

import typer

from tidegate.cli.fleet import find
from tidegate.cli.fleet.ask import ask, reach
from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.errors import UsageError
from tidegate.cli.fleet.options import TIMEOUT_S, AgentName, AsJson, Labels, Reason, Timeout, Yes, group, pairs
from tidegate.cli.fleet.secrets import shown_once
from tidegate.cli.fleet.session import finish
from tidegate.cli.fleet.show import complain, labels_text, print_json, print_rows, say, short_time
from tidegate.domain.durations import parse_duration

agents = group("The agents beside clusters.")

Expires = Annotated[str | None, typer.Option("--expires", metavar="DURATION", help="Such as 1h or 30d.")]
Out = Annotated[str | None, typer.Option("--out", metavar="FILE", help="Write the token there, and show it nowhere.")]


@agents.command("list")
def agents_list(*, as_json: AsJson = False, timeout_s: Timeout = TIMEOUT_S) -> None:
    """Show the agents."""

    async def work(manager: Manager) -> None:
        items = await manager.every("agents")
        print_json(items) if as_json else _print(items)

    finish(work, timeout_s)


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
        document = (await manager.write("POST", "agents", "enrolments", body=body)).document
        shown_once(document, out, as_json=as_json, what=f"for {name or 'one agent'}")
        complain(f"The agent takes it as TIDEGATE_ENROL_TOKEN, beside TIDEGATE_MANAGER={manager.url}.")

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
        return max(1, round(parse_duration(text)))
    except ValueError as error:
        raise UsageError(f"--expires: {error}.") from error


def _print(items: list[dict[str, Any]]) -> None:
    print_rows(
        ("agent", "there", "heard of at", "version", "labels", "note"),
        (
            (
                one.get("name"),
                "yes" if one.get("online") else "offline",
                short_time(one.get("last_seen_at")),
                one.get("version"),
                labels_text(one.get("labels") or {}),
                f"cut off at {short_time(one['revoked_at'])}" if one.get("revoked_at") else "",
            )
            for one in items
        ),
        empty="No agent has joined yet; `tidegate agents enrol` makes a token for one.",
    )
