"""`tidegate alerts`: what somebody should look at."""

from typing import Annotated, Any

import typer

from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.complete import complete_alert
from tidegate.cli.fleet.options import TIMEOUT_S, AsJson, Timeout, group, one_of
from tidegate.cli.fleet.session import finish
from tidegate.cli.fleet.show import print_json, print_rows, say, short_time

alerts = group("What somebody should look at.")


@alerts.command("list")
def alerts_list(
    *,
    everything: Annotated[bool, typer.Option("--all", metavar="", help="Also those that are over.")] = False,
    over: Annotated[bool, typer.Option("--over", metavar="", help="Only those that are over.")] = False,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Show the open alerts."""

    async def work(manager: Manager) -> None:
        items = await manager.every("alerts", open=one_of("--all", "--over", everything=everything, others=over))
        empty = "No alert is over." if over else "All is well."
        print_json(items) if as_json else _print(items, empty)

    finish(work, timeout_s)


@alerts.command("acknowledge")
def alerts_acknowledge(
    alert_id: Annotated[int, typer.Argument(metavar="ALERT", min=1, autocompletion=complete_alert, help="Its number.")],
    *,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Say that somebody looks at it."""

    async def work(manager: Manager) -> None:
        document = (await manager.write("POST", "alerts", alert_id, "acknowledge", body={})).document
        print_json(document) if as_json else say(f"Alert {alert_id} is acknowledged.")

    finish(work, timeout_s)


def _print(items: list[dict[str, Any]], empty: str) -> None:
    print_rows(
        ("id", "severity", "rule", "about", "since", "until", "seen by", "what"),
        (
            (
                one.get("id"),
                one.get("severity"),
                one.get("rule"),
                one.get("subject"),
                short_time(one.get("opened_at")),
                short_time(one.get("closed_at")),
                one.get("acknowledged_by"),
                one.get("text"),
            )
            for one in items
        ),
        empty=empty,
    )
