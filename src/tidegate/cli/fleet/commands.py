"""The commands that speak with a manager, put into the program's."""

import typer

from tidegate.cli.fleet.agents import agents
from tidegate.cli.fleet.alerts import alerts
from tidegate.cli.fleet.audit import audit
from tidegate.cli.fleet.calendar import freeze, window
from tidegate.cli.fleet.channels import channels
from tidegate.cli.fleet.login_command import login, logout
from tidegate.cli.fleet.look import clusters, status, targets
from tidegate.cli.fleet.policy import policy
from tidegate.cli.fleet.quarantine import quarantine
from tidegate.cli.fleet.releases import releases
from tidegate.cli.fleet.rollback import rollback, rollout_rollback
from tidegate.cli.fleet.rollout import rollout
from tidegate.cli.fleet.rollout_verbs import add_verbs
from tidegate.cli.fleet.tokens import token
from tidegate.cli.fleet.top import top


def add_fleet_commands(app: typer.Typer) -> None:
    """Add them to the program."""
    add_verbs(rollout)
    rollout.command("rollback")(rollout_rollback)
    app.command("login")(login)
    app.command("logout")(logout)
    app.command("status")(status)
    app.command("top")(top)
    groups = {
        "clusters": clusters,
        "targets": targets,
        "channels": channels,
        "releases": releases,
        "policy": policy,
        "rollout": rollout,
        "window": window,
        "freeze": freeze,
        "quarantine": quarantine,
        "agents": agents,
        "alerts": alerts,
        "audit": audit,
        "token": token,
    }
    app.command("rollback")(rollback)
    for name, commands in groups.items():
        app.add_typer(commands, name=name)
