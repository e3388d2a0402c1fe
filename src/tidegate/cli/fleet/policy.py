"""`tidegate policy`: a channel's rules, shown and set."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from tidegate.cli.fleet import find
from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.errors import UsageError
from tidegate.cli.fleet.model import read_policy
from tidegate.cli.fleet.opening import ask_for_policy
from tidegate.cli.fleet.options import TIMEOUT_S, AsJson, ChannelName, Timeout, Yes
from tidegate.cli.fleet.session import finish
from tidegate.cli.fleet.show import print_facts, print_json, say

_WHOLE: Final = frozenset({"approvals", "success_percent"})
_SEPARATORS: Final = {"waves": ",", "windows": ";", "freezes": ";"}

policy = typer.Typer(no_args_is_help=True, help="What becomes of a channel's new releases.")


@policy.command("show")
def policy_show(channel: ChannelName, *, as_json: AsJson = False, timeout_s: Timeout = TIMEOUT_S) -> None:
    """Show a channel's policy."""

    async def work(manager: Manager) -> None:
        one = await find.channel(manager, channel)
        document = (await manager.get("policies", one.id)).document
        print_json(document) if as_json else _print(read_policy(document))

    finish(work, timeout_s)


@policy.command("set")
def policy_set(
    channel: ChannelName,
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME=VALUE", help="Such as mode=approval soak=10m waves=1,25%. NAME= is the default."),
    ] = None,
    *,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="A JSON file with the whole policy.")
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Change what is named of a channel's policy, or set all of it from a file.

    Asks before new releases go out by themselves, and before other windows or fewer freezes let updates begin.
    """

    async def work(manager: Manager) -> None:
        if bool(settings) == (file is not None):
            raise UsageError("Give either NAME=VALUE words, such as mode=approval, or --file.")
        one = await find.channel(manager, channel)
        before = await manager.get("policies", one.id)
        wanted = _file(file) if file is not None else changed(read_policy(before.document), settings or ())
        if not yes:
            await ask_for_policy(manager, one, read_policy(before.document), wanted)
        document = (await manager.write("PUT", "policies", one.id, body=wanted, etag=before.etag)).document
        if as_json:
            print_json(document)
            return
        say(f"The policy of {one.familiar}:")
        _print(read_policy(document))

    finish(work, timeout_s)


def changed(before: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """A policy's document with `NAME=VALUE` words set in it. Raises `UsageError`."""
    wanted, named = dict(before), set[str]()
    for word in settings:
        name, equals, text = word.partition("=")
        if not (name and equals):
            raise UsageError(f"{word!r} is not NAME=VALUE, such as mode=approval.")
        if name in named:
            raise UsageError(f"{name} is given twice; it takes one value.")
        named.add(name)
        if text:
            wanted[name] = _value(name, text)
        else:
            wanted.pop(name, None)
    if wanted.get("mode") != before.get("mode") and "approvals" not in named:
        wanted.pop("approvals", None)  # how many are asked goes with the mode
    return wanted


def _value(name: str, text: str) -> Any:
    if text.startswith(("[", "{")):
        try:
            return json.loads(text)
        except ValueError as error:
            raise UsageError(f"{name}: {text!r} is not JSON: {error}.") from error
    if name in _SEPARATORS:
        return [part.strip() for part in text.split(_SEPARATORS[name]) if part.strip()]
    return int(text) if name in _WHOLE and text.isdecimal() else text


def _file(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or f"it is not JSON: {error}"
        raise UsageError(f"{path} cannot be read: {why}.") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path} has no policy: a policy is a JSON object, as `policy show --json` prints it.")
    return document


def _print(document: Mapping[str, Any]) -> None:
    print_facts((name, _text(value, _SEPARATORS.get(name, ";"))) for name, value in document.items())


def _text(value: Any, between: str = ";") -> str:
    """A setting as `policy set` takes it."""
    match value:
        case None | []:
            return "none"
        case list():
            return between.join(_text(one) for one in value)
        case dict():
            return json.dumps(value)
        case _:
            return str(value)
