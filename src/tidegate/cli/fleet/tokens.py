"""`tidegate token`: what people and programs show to the manager."""

from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

import typer

from tidegate.cli.fleet.agents import Expires, Out, seconds
from tidegate.cli.fleet.ask import ask
from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.complete import complete_token, complete_user
from tidegate.cli.fleet.errors import UsageError
from tidegate.cli.fleet.model import parse_time
from tidegate.cli.fleet.names import find_named
from tidegate.cli.fleet.options import TIMEOUT_S, AsJson, Timeout, Yes, group, yes_or_no
from tidegate.cli.fleet.secrets import room_for, shown_once
from tidegate.cli.fleet.session import finish, show_all
from tidegate.cli.fleet.show import print_json, print_rows, say, short_time
from tidegate.cli.plain import did_you_mean

token = group("Who may do what.")


class Role(StrEnum):
    """What a token is for."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


def _roles(incomplete: str) -> list[str]:
    return [str(one) for one in Role if one.startswith(incomplete)]


@token.command("list")
def token_list(
    *,
    user: Annotated[
        str | None, typer.Option("--user", autocompletion=complete_user, help="Only those of this user.")
    ] = None,
    role: Annotated[
        Role | None,
        typer.Option(
            "--role",
            metavar="ROLE",
            help="Only those with this role: viewer, operator, approver or admin.",
        ),
    ] = None,
    valid: Annotated[
        bool | None,
        typer.Option("--valid/--not-valid", metavar="", help="Only those that are good for something, or the others."),
    ] = None,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Show the tokens; what they are made of is shown nowhere."""
    filters = {"user": user, "role": role, "valid": yes_or_no(valid)}
    show = partial(_print, empty="There is no such token.") if any(filters.values()) else _print
    show_all("tokens", show=show, as_json=as_json, timeout_s=timeout_s, **filters)


@token.command("create")
def token_create(
    user: Annotated[str, typer.Argument(metavar="USER", help="Whose it is; approvals count users, not tokens.")],
    role: Annotated[
        str, typer.Argument(metavar="ROLE", autocompletion=_roles, help="viewer, operator, approver or admin.")
    ],
    *,
    name: Annotated[str, typer.Option("--name", help="What it is for.")] = "",
    expires: Expires = None,
    out: Out = None,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Make a token; it is shown once."""

    async def work(manager: Manager) -> None:
        _check_role(role)
        body = {"user": user, "role": role, "name": name or user, "expires_in": seconds(expires)}
        body = {key: value for key, value in body.items() if value is not None}
        with room_for(out) as file:
            document = (await manager.write("POST", "tokens", body=body)).document
            shown_once(document, file, as_json=as_json, what=f"for {user} ({role})", undo="token revoke")

    finish(work, timeout_s)


@token.command("revoke")
def token_revoke(
    which: Annotated[
        str, typer.Argument(metavar="ID|NAME", autocompletion=complete_token, help="As `token list` shows it.")
    ],
    *,
    yes: Yes = False,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Let a token be good for nothing, at once. Asks where that is your own, or the last administrator's."""

    async def work(manager: Manager) -> None:
        items = [one for one in await manager.every("tokens") if not one.get("revoked_at")]
        one = find_named("token", which, items, lambda it: str(it["id"]), lambda it: str(it.get("name")), about=_about)
        if not yes:
            mine = (await manager.get("me")).document.get("token_id") == one["id"]
            _ask(one, mine=mine, last=_is_last_admins(one, items, datetime.now(UTC)))
        document = (await manager.write("POST", "tokens", one["id"], "revoke", body={})).document
        print_json(document) if as_json else say(f"Token {one['id']} of {one['user']} is revoked.")

    finish(work, timeout_s)


def _check_role(role: str) -> None:
    """Raises `UsageError`."""
    if role not in list(Role):
        near = did_you_mean(role, list(Role))
        raise UsageError(f"{role!r} is no role; it takes {', '.join(Role)}. {near}".rstrip())


def _ask(one: dict[str, Any], *, mine: bool, last: bool) -> None:
    """Ask before somebody locks out themselves, or everybody."""
    lost = "no administrator's token is left: one is made only where the manager runs" if last else ""
    own = "it is the token that this command shows, and no command is taken with it any more" if mine else ""
    why = "; ".join(part for part in (own, lost) if part)
    if why:
        ask(f"Token {one['id']} of {one['user']} is revoked: {why}.", yes=False)


def _is_last_admins(one: dict[str, Any], items: list[dict[str, Any]], now: datetime) -> bool:
    """Whether no other token of `items`, which are not revoked, is an administrator's and valid."""
    admins = [it["id"] for it in items if it["role"] == Role.ADMIN and _lasts(it, now)]
    return admins == [one["id"]]


def _lasts(it: dict[str, Any], now: datetime) -> bool:
    ends = parse_time(str(it.get("expires_at") or ""))
    return ends is None or ends > now


def _about(it: dict[str, Any]) -> str:
    used = f"last used at {short_time(it['used_at'])}" if it.get("used_at") else "never used"
    return f"{it.get('name')} of {it['user']}, {it['role']}, {used}"


def _print(items: list[dict[str, Any]], *, empty: str = "There are no tokens.") -> None:
    print_rows(
        ("id", "user", "role", "name", "last used at", "expires at", "note"),
        (
            (
                one.get("id"),
                one.get("user"),
                one.get("role"),
                one.get("name"),
                short_time(one.get("used_at")),
                short_time(one.get("expires_at")),
                f"revoked at {short_time(one['revoked_at'])}" if one.get("revoked_at") else "",
            )
            for one in items
        ),
        empty=empty,
    )
