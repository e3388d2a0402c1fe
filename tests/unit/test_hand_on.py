"""What Compose copied into one container is put into the next, and kept for the way back."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from tidegate.agent.injected import hand_on
from tidegate.agent.replacement import Replacement
from tidegate.agent.state import StateError
from tidegate.domain.transaction import Strategy
from tidegate.engine import parse
from tidegate.engine.errors import EngineError, EngineUnavailableError
from tidegate.engine.model import Container, FileStat

CREATED = datetime(2026, 5, 1, 12, 0, 0, 300_000, tzinfo=UTC)


def container(name: str, created: datetime) -> Container:
    labels = {"com.docker.compose.project": "shop"}
    state = {"StartedAt": (created + timedelta(seconds=1)).isoformat(), "Running": True}
    document = {"Id": name, "Name": f"/{name}", "Created": created.isoformat(), "State": state}
    return parse.container({**document, "Config": {"Labels": labels}, "HostConfig": {}})


def tar_of(path: str, content: bytes, mtime: float) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo(path.rpartition("/")[2])
        member.size, member.uid, member.mode, member.mtime = len(content), 7, 0o400, mtime
        tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


@dataclass
class Files:
    """An engine with two containers: the files of `old`, and what was unpacked into `new`."""

    old: dict[str, bytes] = field(default_factory=dict)
    unpacked: list[bytes] = field(default_factory=list)
    refuses: EngineError | None = None

    async def container(self, ref: str) -> Container:
        return container(ref, CREATED if ref == "old" else CREATED + timedelta(days=1))

    async def changed_paths(self, ref: str) -> list[str]:
        assert ref == "old"
        if self.refuses is not None:
            raise self.refuses
        return list(self.old)

    async def file_stat(self, ref: str, path: str) -> FileStat:
        assert ref == "old"
        return FileStat(len(self.old[path]), regular=True, modified=CREATED.replace(microsecond=0))

    async def packed(self, ref: str, path: str) -> bytes:
        assert ref == "old"
        return tar_of(path, self.old[path], CREATED.timestamp())

    async def unpack(self, ref: str, tar: bytes) -> None:
        assert ref == "new"
        self.unpacked.append(tar)

    def found(self) -> dict[str, bytes]:
        with tarfile.open(fileobj=io.BytesIO(self.unpacked[-1])) as tar:
            return {one.name: (tar.extractfile(one) or io.BytesIO()).read() for one in tar}


@dataclass
class Drawer:
    """What is kept, in memory."""

    held: dict[tuple[str, str], bytes] = field(default_factory=dict)
    full: bool = False

    def attach(self, txid: str, name: str, data: bytes) -> None:
        if self.full:
            raise StateError("the disk is full")
        self.held[txid, name] = data

    def attached(self, txid: str, name: str) -> bytes | None:
        return self.held.get((txid, name))


def moving(**more: Any) -> Replacement:
    known = dict.fromkeys(("cluster", "service", "number", "name", "reference"), "x")
    images = dict.fromkeys(("old_image", "new_image", "old_digest", "new_digest"), "y")
    nothing: dict[str, Any] = {"request": {}, "endpoints": {}, "saved": {}, "saved_endpoints": {}}
    places = {"strategy": Strategy.STOP_FIRST, "late": (), "early": ()}
    return Replacement(**{"id": "t-1.0", "incumbent": "old", **known, **images, **nothing, **places, **more})


async def hand(files: Files, it: Replacement, kept: Drawer) -> None:
    await hand_on(files, it, "new", kept)  # type: ignore[arg-type]  # it uses five verbs of the engine


async def test_files_are_put_in_by_their_whole_paths_with_the_time_of_the_new_container() -> None:
    files = Files({"/run/secrets/key": b"hush", "/etc/shop.conf": b"open"})
    await hand(files, moving(), Drawer())
    assert files.found() == {"run/secrets/key": b"hush", "etc/shop.conf": b"open"}
    with tarfile.open(fileobj=io.BytesIO(files.unpacked[0])) as tar:
        times = {(one.uid, one.mode, one.mtime) for one in tar}
    assert times == {(7, 0o400, (CREATED + timedelta(days=1)).replace(microsecond=0).timestamp())}


async def test_on_the_way_back_they_are_as_they_were_whatever_the_release_in_between_did() -> None:
    kept = Drawer()
    await hand(Files({"/run/secrets/key": b"hush"}), moving(), kept)
    changed = Files({"/run/secrets/key": b"mine"})
    await hand(changed, moving(id="t-1.0-back", reverse=True), kept)
    assert changed.found() == {"run/secrets/key": b"hush"}


async def test_where_they_could_not_be_kept_the_way_back_takes_them_from_what_runs() -> None:
    kept, files = Drawer(full=True), Files({"/run/secrets/key": b"hush"})
    with capture_logs() as logs:
        await hand(files, moving(), kept)
    assert [log["log_level"] for log in logs] == ["info", "warning"]
    await hand(files, moving(id="t-1.0-back", reverse=True), kept)
    assert files.found() == {"run/secrets/key": b"hush"}


async def test_no_content_is_logged() -> None:
    with capture_logs() as logs:
        await hand(Files({"/run/secrets/key": b"hush"}), moving(), Drawer(full=True))
    assert logs
    assert "hush" not in str(logs)


async def test_nothing_is_unpacked_where_nothing_was_injected() -> None:
    files, kept = Files({}), Drawer()
    await hand(files, moving(), kept)
    assert (files.unpacked, kept.held) == ([], {})


async def test_a_file_too_large_for_a_secret_stays_where_it_is() -> None:
    files = Files({"/run/secrets/core": bytes((1 << 20) + 1)})
    await hand(files, moving(), Drawer())
    assert files.unpacked == []


async def test_an_engine_that_cannot_tell_what_differs_does_not_hold_the_update_back_but_one_that_is_gone_does() -> (
    None
):
    await hand(Files(refuses=EngineError("not supported by this driver")), moving(), Drawer())
    with pytest.raises(EngineUnavailableError):
        await hand(Files(refuses=EngineUnavailableError("gone")), moving(), Drawer())
