"""`tidegate token`: what people and programs show to the manager."""

from typing import Annotated, Any

import typer

from tidegate.cli.fleet.agents import Expires, Out, seconds
from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.names import find_named
from tidegate.cli.fleet.options import TIMEOUT_S, AsJson, Timeout, group
from tidegate.cli.fleet.secrets import room_for, shown_once
from tidegate.cli.fleet.session import finish, show_all
from tidegate.cli.fleet.show import print_json, print_rows, say, short_time

token = group("Who may do what.")

_ROLES = ("viewer", "operator", "approver", "admin")


def _roles(incomplete: str) -> list[str]:
    return [one for one in _ROLES if one.startswith(incomplete)]


@token.command("list")
def token_list(*, as_json: AsJson = False, timeout_s: Timeout = TIMEOUT_S) -> None:
    """Show the tokens; what they are made of is shown nowhere."""
    show_all("tokens", show=_print, as_json=as_json, timeout_s=timeout_s)


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
        body = {"user": user, "role": role, "name": name or user, "expires_in": seconds(expires)}
        body = {key: value for key, value in body.items() if value is not None}
        with room_for(out) as file:
            document = (await manager.write("POST", "tokens", body=body)).document
            shown_once(document, file, as_json=as_json, what=f"for {user} ({role})", undo="token revoke")

    finish(work, timeout_s)


@token.command("revoke")
def token_revoke(
    which: Annotated[str, typer.Argument(metavar="ID|NAME", help="As `token list` shows it.")],
    *,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Let a token be good for nothing, at once."""

    async def work(manager: Manager) -> None:
        items = [one for one in await manager.every("tokens") if not one.get("revoked_at")]
        one = find_named("token", which, items, lambda it: str(it["id"]), lambda it: str(it.get("name")), about=_about)
        document = (await manager.write("POST", "tokens", one["id"], "revoke", body={})).document
        print_json(document) if as_json else say(f"Token {one['id']} of {one['user']} is revoked.")

    finish(work, timeout_s)


def _about(it: dict[str, Any]) -> str:
    used = f"last used at {short_time(it['used_at'])}" if it.get("used_at") else "never used"
    return f"{it.get('name')} of {it['user']}, {it['role']}, {used}"


def _print(items: list[dict[str, Any]]) -> None:
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
        empty="There are no tokens.",
    )
