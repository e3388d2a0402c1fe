"""What may let updates begin that wait, found out before it is done, so that somebody can be asked."""

from collections.abc import Mapping
from datetime import UTC, datetime

from tidegate.cli.fleet.ask import ask, confirm
from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.errors import FAILED, FleetError
from tidegate.cli.fleet.model import Channel, Document
from tidegate.domain.channel_policy import ChannelPolicy, ChannelPolicyError, read_channel_policy
from tidegate.domain.rollout_policy import Mode
from tidegate.domain.windows import Freeze, parse_freeze


class UnusableError(FleetError):
    """A policy that no manager takes; nobody is asked about it."""

    code = FAILED

    def __init__(self, faults: Mapping[str, str]) -> None:
        told = "\n".join(f"  {name}: {why}" for name, why in faults.items())
        super().__init__(f"The policy cannot be used.\n{told}")


async def ask_for_policy(manager: Manager, channel: Channel, before: Document, wanted: Document) -> None:
    """Ask before a channel's policy lets more begin than it did. Raises `UnusableError`."""
    old, new = _read(before, before), _read(wanted, before)
    told = []
    if new.mode is Mode.AUTOMATIC and before.get("mode") != str(Mode.AUTOMATIC):
        told.append(f"new releases of {channel.familiar} go out by themselves from now on")
    if await _opens(manager, channel, old, new) or _frees(old, new, datetime.now(UTC)):
        told.append(f"updates of {channel.familiar} that its windows and freezes hold back may begin at once")
    if told:
        what = "; and ".join(told)
        await _confirm_for(manager, what[0].upper() + what[1:], [channel.id])


async def ask_for_window(manager: Manager, name: str, scope: Document) -> None:
    """Ask before a window is added to others, as updates may begin in any of them; the first one only holds back."""
    others = await _beside(manager, scope) or await _of_policies(manager, scope)
    if others:
        ask(f"Beside {others}, updates that wait may begin in the window {name}, too.", yes=False)


async def ask_for_release(manager: Manager, digest: str) -> None:
    """Ask before a digest leaves quarantine where channels send it out by themselves."""
    has_it = {one["channel"]["id"] for one in await manager.every("releases", digest=digest)}
    channels = [one["id"] for one in await manager.every("channels") if one["id"] in has_it and _sends(one)]
    await _confirm_for(manager, f"{digest} may go out by itself, and at once", channels)


def meet(one: Document, other: Document) -> bool:
    """Whether two scopes may be about the same target."""
    for kind in ("channels", "clusters"):
        here, there = set(one.get(kind) or ()), set(other.get(kind) or ())
        if here and there and not here & there:
            return False
    mine, theirs = one.get("labels") or {}, other.get("labels") or {}
    return all(theirs.get(name, value) == value for name, value in mine.items())


async def _confirm_for(manager: Manager, what: str, channels: list[int]) -> None:
    each = [await manager.every("targets", channel=one) for one in channels]
    confirm(what, {str(target["name"]) for targets in each for target in targets}, yes=False)


async def _beside(manager: Manager, scope: Document) -> str:
    """The windows that are kept beside policies, and may be about what `scope` is about; empty: none."""
    windows = await manager.every("windows")
    return ", ".join(str(one["name"]) for one in windows if meet(one.get("scope") or {}, scope))


async def _of_policies(manager: Manager, scope: Document) -> str:
    """The same of channels' own windows."""
    policies = await manager.every("policies")
    own = [one["channel"] for one in policies if one["policy"].get("windows")]
    return ", ".join(f"those of {one['name']}" for one in own if meet({"channels": [one["id"]]}, scope))


async def _opens(manager: Manager, channel: Channel, old: ChannelPolicy, new: ChannelPolicy) -> bool:
    """Whether other windows may be open now; where there was none at all, the first ones only hold back."""
    if set(new.windows) == set(old.windows):
        return False
    return bool(old.windows or await _beside(manager, {"channels": [channel.id]}))


def _read(document: Document, before: Document) -> ChannelPolicy:
    """A policy; what only a newer manager knows is passed over where it stays as it was. Raises `UnusableError`."""
    strange = {name for name in _faults(before) if document.get(name) == before.get(name)}
    try:
        return read_channel_policy({name: value for name, value in document.items() if name not in strange})
    except ChannelPolicyError as error:
        raise UnusableError(error.faults) from error


def _faults(document: Document) -> Mapping[str, str]:
    try:
        read_channel_policy(document)
    except ChannelPolicyError as error:
        return error.faults
    return {}


def _frees(old: ChannelPolicy, new: ChannelPolicy, now: datetime) -> bool:
    """Whether a freeze that is not over is gone, or is shorter."""
    kept = [parse_freeze(one) for one in new.freezes]
    left = [one for one in map(parse_freeze, old.freezes) if one.end.astimezone(UTC) > now]
    return not all(any(_covers(other, one, now) for other in kept) for one in left)


def _covers(one: Freeze, other: Freeze, now: datetime) -> bool:
    begins = one.start.astimezone(UTC) <= max(now, other.start.astimezone(UTC))
    return begins and one.end.astimezone(UTC) >= other.end.astimezone(UTC)


def _sends(channel: Document) -> bool:
    return channel.get("mode") == str(Mode.AUTOMATIC)
