"""`tidegate audit`: who did what, and whether the log is whole."""

import json
from typing import Annotated, Any

import typer

from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.complete import complete_action, complete_actor, complete_subject
from tidegate.cli.fleet.errors import FAILED
from tidegate.cli.fleet.options import TIMEOUT_S, AsJson, Timeout, group
from tidegate.cli.fleet.session import finish
from tidegate.cli.fleet.show import complain, print_json, print_rows, say, short_time

audit = group("Who did what to what, when and from where.")


@audit.command("list")
def audit_list(
    *,
    actor: Annotated[
        str | None, typer.Option("--actor", autocompletion=complete_actor, help="Only of this user.")
    ] = None,
    action: Annotated[
        str | None,
        typer.Option(
            "--action", autocompletion=complete_action, help="Only this one, in full, such as rollout.approve."
        ),
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option("--subject", autocompletion=complete_subject, help="Only to this, in full, such as 'rollout 7'."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="How many of the last to show.")] = 50,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Show the audit log, the newest first."""

    async def work(manager: Manager) -> None:
        answer = await manager.get("audit", actor=actor, action=action, subject=subject, limit=limit)
        items = answer.document["items"]
        filtered = any(one is not None for one in (actor, action, subject))
        empty = "There is no such entry." if filtered else "The audit log is empty."
        print_json(items) if as_json else _print(items, empty)

    finish(work, timeout_s)


@audit.command("verify")
def audit_verify(*, as_json: AsJson = False, timeout_s: Timeout = TIMEOUT_S) -> None:
    """Go through the whole log; exit code 1: something in it was changed, left out, put in or cut off."""

    async def work(manager: Manager) -> int | None:
        document = (await manager.get("audit", "verify")).document
        whole = bool(document.get("ok"))
        if as_json:
            print_json(document)
        elif whole:
            of = f"{document.get('entries')} entries, the last with hash {document.get('last_hash')}"
            say(f"The audit log holds: {of}.")
        else:
            complain(f"The audit log does not hold: {document.get('fault')}.")
        return None if whole else FAILED

    finish(work, timeout_s)


def _print(items: list[dict[str, Any]], empty: str) -> None:
    print_rows(
        ("entry", "at", "who", "from", "action", "subject", "after"),
        (
            (
                one.get("number"),
                short_time(one.get("at")),
                one.get("actor"),
                one.get("source"),
                one.get("action"),
                one.get("subject"),
                json.dumps(one["after"]) if one.get("after") else "",
            )
            for one in items
        ),
        empty=empty,
    )
