"""Arguments and options that several commands share."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from tidegate.cli.fleet.complete import (
    complete_agent,
    complete_channel,
    complete_cluster,
    complete_label,
    complete_release,
    complete_rollout,
    complete_target,
)
from tidegate.cli.fleet.errors import UsageError

TIMEOUT_S: Final = 30.0

AsJson = Annotated[bool, typer.Option("--json", metavar="", help="Print the manager's JSON.")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="For one request.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", metavar="", help="Do not ask before what is wide.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Kept with it, and in the audit log.")]

TargetName = Annotated[
    str, typer.Argument(metavar="TARGET", autocompletion=complete_target, help="PROJECT@AGENT/SERVICE.")
]
ClusterName = Annotated[str, typer.Argument(metavar="CLUSTER", autocompletion=complete_cluster, help="PROJECT@AGENT.")]
ChannelName = Annotated[
    str, typer.Argument(metavar="CHANNEL", autocompletion=complete_channel, help="REPOSITORY:TAG, or its id.")
]
ReleaseName = Annotated[
    str,
    typer.Argument(metavar="RELEASE", autocompletion=complete_release, help="A version, a digest or its beginning."),
]
RolloutId = Annotated[
    int, typer.Argument(metavar="ROLLOUT", min=1, autocompletion=complete_rollout, help="Its number.")
]
AgentName = Annotated[str, typer.Argument(metavar="AGENT", autocompletion=complete_agent, help="Its name.")]

OneChannel = Annotated[
    str | None,
    typer.Option("--channel", metavar="CHANNEL", autocompletion=complete_channel, help="Only of this channel."),
]
OneCluster = Annotated[
    str | None,
    typer.Option("--cluster", metavar="CLUSTER", autocompletion=complete_cluster, help="Only of this cluster."),
]
OneAgent = Annotated[
    str | None, typer.Option("--agent", metavar="AGENT", autocompletion=complete_agent, help="Only this agent's.")
]
OneDigest = Annotated[
    str | None,
    typer.Option(
        "--digest",
        metavar="RELEASE",
        autocompletion=complete_release,
        help="Only with this digest; a version or a digest's beginning is looked up.",
    ),
]
Channels = Annotated[
    list[str] | None,
    typer.Option("--channel", metavar="CHANNEL", autocompletion=complete_channel, help="Only this one; repeatable."),
]
Clusters = Annotated[
    list[str] | None,
    typer.Option("--cluster", metavar="CLUSTER", autocompletion=complete_cluster, help="Only this one; repeatable."),
]
Targets = Annotated[
    list[str] | None,
    typer.Option("--target", metavar="TARGET", autocompletion=complete_target, help="Only this one; repeatable."),
]
WithLabels = Annotated[
    list[str] | None,
    typer.Option(
        "--label", metavar="NAME=VALUE", autocompletion=complete_label, help="Only with this label; repeatable."
    ),
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="NAME=VALUE", autocompletion=complete_label, help="Of clusters; repeatable."),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="RELEASE",
        autocompletion=complete_release,
        help="A version, a digest or its beginning; without it the one before.",
    ),
]


class ListsByDefault(TyperGroup):
    """A group of commands that lists where it is not told what to do: `tidegate clusters` is `clusters list`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `list` before options, and where there is nothing."""
        asks_help = bool({"--help", *ctx.help_option_names}.intersection(args[:1]))
        names_nothing = args[0].startswith("-") if args else not ctx.resilient_parsing  # then names are completed
        if names_nothing and not asks_help:
            args = ["list", *args]
        return super().parse_args(ctx, args)


def group(help_text: str) -> typer.Typer:
    """A group of commands with a `list` among them."""
    return typer.Typer(
        cls=ListsByDefault, help=f"{help_text} Without a command it lists.", pretty_exceptions_enable=False
    )


def pairs(words: Sequence[str] | None) -> dict[str, str]:
    """`NAME=VALUE` words as a mapping; no name has two values. Raises `UsageError`."""
    found: dict[str, str] = {}
    for word in words or ():
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise UsageError(f"{word!r} is not NAME=VALUE, such as ring=early.")
        if found.setdefault(name, value) != value:
            raise UsageError(f"{name} is given two values, {found[name]!r} and {value!r}; it takes one.")
    return found


def yes_or_no(value: bool | None) -> str | None:
    """A filter that is on, off or not there, as the manager takes it."""
    return None if value is None else str(value).lower()


def one_of(all_word: str, others_word: str, *, everything: bool, others: bool) -> str | None:
    """The filter of a list that is cut unless `all_word` asks for the whole, or `others_word` for the rest of it.

    Raises `UsageError` where both are written.
    """
    if everything and others:
        raise UsageError(f"{all_word} shows all, {others_word} some of them: write one of the two.")
    return yes_or_no(None if everything else not others)


def values(given: Sequence[str] | None) -> tuple[str, ...] | None:
    """What a repeatable option was given, as a query takes it."""
    return tuple(str(one) for one in given) if given else None
