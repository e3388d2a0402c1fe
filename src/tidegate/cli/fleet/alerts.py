"""`tidegate alerts`: what somebody should look at."""

from typing import Annotated, Any

import typer

from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.options import TIMEOUT_S, AsJson, Timeout, group
from tidegate.cli.fleet.session import finish, show_all
from tidegate.cli.fleet.show import print_json, print_rows, say, short_time

alerts = group("What somebody should look at.")


@alerts.command("list")
def alerts_list(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Show the open alerts."""
    show_all("alerts", show=_print, as_json=as_json, timeout_s=timeout_s, open=None if everything else "true")


@alerts.command("acknowledge")
def alerts_acknowledge(
    alert_id: Annotated[int, typer.Argument(metavar="ALERT", help="Its number.")],
    *,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Say that somebody looks at it."""

    async def work(manager: Manager) -> None:
        document = (await manager.write("POST", "alerts", alert_id, "acknowledge", body={})).document
        print_json(document) if as_json else say(f"Alert {alert_id} is acknowledged.")

    finish(work, timeout_s)


def _print(items: list[dict[str, Any]]) -> None:
    print_rows(
        ("id", "rule", "about", "since", "until", "seen by", "what"),
        (
            (
                one.get("id"),
                one.get("rule"),
                one.get("subject"),
                short_time(one.get("opened_at")),
                short_time(one.get("closed_at")),
                one.get("acknowledged_by"),
                one.get("text"),
            )
            for one in items
        ),
        empty="All is well.",
    )
