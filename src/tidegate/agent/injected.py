"""Hands on what Compose has copied into a container; no create request asks for it, so one made anew would lack it."""

import asyncio
import io
import tarfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

import structlog

from tidegate.agent.replacement import Replacement
from tidegate.agent.state import StateError
from tidegate.domain.injected import LARGEST_BYTES, made_by_compose, may_be_injected, was_injected
from tidegate.engine.errors import EngineError, EngineUnavailableError, NotFoundError
from tidegate.engine.model import Container
from tidegate.engine.port import Engine

_MOST_LOOKED_AT = 500
_AT_ONCE = 8
_log = structlog.get_logger(__name__)


class Kept(Protocol):
    """Files beside a journal, readable for their owner only, that are gone when it is closed."""

    def attach(self, txid: str, name: str, data: bytes) -> None:
        """Keep `data`; on disk when it returns. Raises `StateError`."""

    def attached(self, txid: str, name: str) -> bytes | None:
        """What was kept under that name, if anything. Raises `StateError`."""


async def hand_on(engine: Engine, it: Replacement, candidate: str, kept: Kept | None = None) -> None:
    """Put into the candidate what Compose put into the incumbent. Raises `EngineError`.

    What goes forward is kept for the way back: the release in between may have changed it.
    """
    txid, _, number = it.id.rpartition(".")
    number = number.partition("-")[0]
    tar = kept.attached(txid, number) if kept is not None and it.reverse else None
    if tar is None:
        tar = await taken_from(engine, it.incumbent)
        if kept is not None and tar and not it.reverse:
            _keep(kept, txid, number, tar)
    if tar:
        await put_into(engine, candidate, tar)


def _keep(kept: Kept, txid: str, number: str, tar: bytes) -> None:
    try:
        kept.attach(txid, number, tar)
    except StateError as error:
        _log.warning("what Compose put into a container is not kept for the way back", reason=str(error))


async def taken_from(engine: Engine, ref: str) -> bytes:
    """A tar of the files that Compose put into a container; empty where there are none. Raises `EngineError`."""
    container = await engine.container(ref)
    found = await _injected(engine, container, await _changed(engine, container))
    files = [(path, await engine.packed(container.id, path)) for path in found]
    if files:
        _log.info("handing on what Compose put in", container=container.name, files=[path for path, _ in files])
    return _one_tar(files) if files else b""


async def put_into(engine: Engine, ref: str, tar: bytes) -> None:
    """Unpack into a container that has not started, with the time of its creation, as Compose does it."""
    created = (await engine.container(ref)).created
    await engine.unpack(ref, _dated(tar, created))


async def _changed(engine: Engine, container: Container) -> list[str]:
    if not made_by_compose(container.document):
        return []
    try:
        paths = may_be_injected(container.document, await engine.changed_paths(container.id))
    except (NotFoundError, EngineUnavailableError):
        raise
    except EngineError as error:
        _log.warning("what Compose put into a container cannot be told", container=container.name, reason=str(error))
        return []
    if len(paths) > _MOST_LOOKED_AT:
        _log.warning(
            "too many files differ from the image to look at each; a config that Compose copied may not be found",
            container=container.name,
            differ=len(paths),
            looked_at=_MOST_LOOKED_AT,
        )
    return paths[:_MOST_LOOKED_AT]


async def _injected(engine: Engine, container: Container, paths: Sequence[str]) -> list[str]:
    """Those of the paths that Compose put there."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(path: str) -> bool:
        async with slots:
            return await _is_injected(engine, container, path)

    answers = await asyncio.gather(*(one(path) for path in paths))
    return [path for path, yes in zip(paths, answers, strict=True) if yes]


async def _is_injected(engine: Engine, container: Container, path: str) -> bool:
    try:
        found = await engine.file_stat(container.id, path)
    except NotFoundError:
        return False  # gone meanwhile, or hidden
    started = _started(container)
    fits = was_injected(path, modified=found.modified, created=container.created, started=started)
    return fits and found.regular and found.size <= LARGEST_BYTES


def _started(container: Container) -> datetime | None:
    """When it last started; None where it never did, which the engine tells by the year 1."""
    try:
        started = datetime.fromisoformat(container.started_at)
    except ValueError:
        return None
    return started if started >= container.created else None


def _one_tar(files: Iterable[tuple[str, bytes]]) -> bytes:
    """The files of several tars of one member each, by their whole paths."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, packed in files:
            with tarfile.open(fileobj=io.BytesIO(packed)) as one:
                member = one.next()
                if member is not None and member.isreg():
                    member.name, member.pax_headers = path.lstrip("/"), {}
                    tar.addfile(member, one.extractfile(member))
    return out.getvalue()


def _dated(packed: bytes, when: datetime) -> bytes:
    """The same tar with another time, in whole seconds, for all that is in it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(packed)) as old, tarfile.open(fileobj=out, mode="w") as new:
        for member in old:
            member.mtime, member.pax_headers = round(when.timestamp()), {}  # the headers would count for more
            new.addfile(member, old.extractfile(member))
    return out.getvalue()
