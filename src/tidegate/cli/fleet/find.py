"""Names that people write, looked up in the manager: the whole name at once, short and misspelt ones in its lists."""

from http import HTTPStatus

from tidegate.cli.fleet.client import Answer, Manager
from tidegate.cli.fleet.errors import ProblemError, UsageError
from tidegate.cli.fleet.model import (
    Channel,
    Cluster,
    Document,
    Release,
    Target,
    read_channel,
    read_cluster,
    read_release,
    read_target,
)
from tidegate.cli.fleet.names import channel_name, find_channel, find_cluster, find_release, find_target, missing
from tidegate.domain.reference import is_digest


async def target(manager: Manager, word: str) -> Target:
    """By PROJECT@AGENT/SERVICE or PROJECT/SERVICE."""
    cluster_, slash, service = word.partition("/")
    if not (cluster_ and slash and service):
        raise UsageError(f"{word!r} is no target; write PROJECT@AGENT/SERVICE, such as autonomy@berlin1/orchestrator.")
    whole = await _found(manager, "targets", cluster_, service) if "@" in cluster_ else None
    if whole is not None:
        return read_target(whole.document)
    return find_target(word, [read_target(one) for one in await manager.every("targets")])


async def cluster(manager: Manager, word: str) -> Cluster:
    """By PROJECT@AGENT or PROJECT."""
    if "/" in word:
        raise UsageError(f"{word!r} is no cluster; write PROJECT@AGENT, such as autonomy@berlin1.")
    whole = await _found(manager, "clusters", word) if "@" in word else None
    if whole is not None:
        return read_cluster(whole.document)
    return find_cluster(word, [read_cluster(one) for one in await manager.every("clusters")])


async def channel(manager: Manager, word: str) -> Channel:
    """By REPOSITORY:TAG or id."""
    if word.isdecimal():
        found = await _found(manager, "channels", word) if int(word) else None
        if found is None:
            raise missing("channel", word, ())
        return read_channel(found.document)
    named = await manager.every("channels", name=channel_name(word))
    items = named or await manager.every("channels")
    return find_channel(word, [read_channel(one) for one in items])


async def release(manager: Manager, word: str, channel_id: int | None) -> Release:
    """By version, digest or its beginning; of one channel, or of all."""
    return find_release(word, [read_release(one) for one in await manager.every("releases", channel=channel_id)])


async def digest(manager: Manager, word: str, channel_id: int | None) -> str:
    """A whole digest as it is, whatever has it; else that of a release, as `release` finds it."""
    if is_digest(word):
        return word
    items = [read_release(one) for one in await manager.every("releases", channel=channel_id)]
    return find_release(word, list({one.digest: one for one in items}.values())).digest


async def agent(manager: Manager, word: str) -> Document:
    """By name."""
    known = await known_agent(manager, word)
    if known is not None:
        return known
    raise missing("agent", word, [str(one.get("name")) for one in await manager.every("agents")])


async def known_agent(manager: Manager, name: str) -> Document | None:
    """The agent that has this very name, if one has."""
    found = await _found(manager, "agents", name)
    return found.document if found is not None else None


async def _found(manager: Manager, *path: str) -> Answer | None:
    """The document; None where there is none."""
    try:
        return await manager.get(*path)
    except ProblemError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return None
