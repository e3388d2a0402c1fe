"""What Watchtower left behind, told from what people did."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from tidegate.agent.replacement import Replacement
from tidegate.agent.watchtower import found
from tidegate.agent.watchtower.found import Found, look
from tidegate.domain.transaction import Settlement, Strategy
from tidegate.engine.errors import NotFoundError
from tidegate.engine.model import Event

HASH, ONE_OFF = "com.docker.compose.config-hash", "com.docker.compose.oneoff"


def replacement(**changes: Any) -> Replacement:
    values: dict[str, Any] = {
        "id": "20261123-120000-abcd.0", "cluster": "shop", "service": "web", "number": "1", "name": "shop-web-1",
        "incumbent": "old", "reference": "registry.test/web:live", "old_image": "v1", "new_image": "v2",
        "old_digest": "sha256:a", "new_digest": "sha256:b", "strategy": Strategy.STOP_FIRST, "late": (), "early": (),
        "request": {}, "endpoints": {}, "saved": {"Labels": {HASH: "first"}}, "saved_endpoints": {"front": {}},
    }  # fmt: skip
    return Replacement(**{**values, **changes})


def container(
    id_: str = "new",
    image: str = "v2",
    status: str = "running",
    *,
    code: int = 0,
    labels: Mapping[str, str] | None = None,
) -> Any:
    return SimpleNamespace(
        id=id_,
        name="shop-web-1",
        image_id=image,
        status=status,
        running=status == "running",
        exit_code=code,
        labels={HASH: "first", **(labels or {})},
    )


class Engine:
    """Has containers by name, one answer after another, and networks."""

    def __init__(self, *answers: Any, rows: tuple[Any, ...] = (), networks: tuple[str, ...] = ("front",)) -> None:
        self._answers, self._rows, self._networks = list(answers), rows, networks
        self.removed: list[str] = []

    async def container(self, ref: str) -> Any:
        by_id = next((one for one in self._rows if one.id == ref), None)
        answer = by_id or (self._answers.pop(0) if len(self._answers) > 1 else (self._answers or [None])[0])
        if answer is None:
            raise NotFoundError(ref)
        return answer

    async def containers(self, **_: object) -> list[Any]:
        return list(self._rows)

    async def network(self, name: str) -> None:
        if name not in self._networks:
            raise NotFoundError(name)

    async def remove(self, ref: str, *, force: bool) -> None:
        assert force
        self.removed.append(ref)
        self._answers = [None]


async def seen(engine: Engine, *events: Event, **changes: Any) -> Found:
    return await look([replacement(**changes)], engine, events)  # type: ignore[arg-type]


def names(it: Found) -> dict[str, int]:
    lists = {"moved": it.moved, "left": it.left, "lost": it.lost, "elsewhere": it.elsewhere, "idle": it.idle}
    return {name: len(those) for name, those in {**lists, "theirs": it.theirs}.items() if those}


def stop(container: str) -> Event:
    return Event("container", "stop", container, {}, 1)


@pytest.mark.parametrize(
    ("placed", "expected"),
    [
        (container(), "moved"),
        (container("old", "v1"), "left"),
        (container("old", "v1", "exited"), "left"),
        (None, "lost"),
        (container(image="v3"), "elsewhere"),
        (container(status="created"), "idle"),
        (container(status="created", code=128), "idle"),
        (container(status="created", code=127), "moved"),
        (container(status="exited", code=1), "moved"),
    ],
)
async def test_what_is_in_its_place_tells_what_watchtower_did(placed: Any, expected: str) -> None:
    """A release that has no such command is judged as one that ends; a start that came to nothing is the host's."""
    assert names(await seen(Engine(placed))) == {expected: 1}


async def test_what_was_stopped_before_may_stay_created() -> None:
    assert names(await seen(Engine(container(status="created")), was_running=False)) == {"moved": 1}


@pytest.mark.parametrize(
    ("placed", "down"),
    [(container("old", "v1", "exited"), True), (container("old", "v1"), False)],
)
async def test_what_watchtower_stopped_and_left_is_known_to_be_down(placed: Any, down: bool) -> None:
    it = await seen(Engine(placed))
    assert it.is_down(it.left[0]) is down


@pytest.mark.parametrize("status", ["removing", "dead"])
async def test_what_is_on_its_way_out_is_waited_for(status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(found, "_LOOK_EVERY_S", 0)
    engine = Engine(container("old", "v1", status), container("old", "v1", status), None)
    assert (names(await seen(engine)), engine.removed) == ({"lost": 1}, [])
    stuck = Engine(container("old", "v1", status))
    assert (names(await seen(stuck)), stuck.removed) == ({"lost": 1}, ["old"])


@pytest.mark.parametrize(
    ("placed", "event", "end"),
    [
        (None, stop("old"), Settlement.NOTHING),
        (container("old", "v1", "exited"), stop("old"), Settlement.INCUMBENT_STOPPED),
        (container("old", "v1"), stop("old"), Settlement.INCUMBENT),
        (container("theirs", "v1"), stop("old"), Settlement.STRANGER),
        (container(status="exited"), stop("new"), Settlement.STRANGER),
    ],
)
async def test_what_the_engine_was_asked_to_stop_is_somebodys_doing(placed: Any, event: Event, end: Settlement) -> None:
    """Watchtower sends signals, and asks for no stop."""
    it = await seen(Engine(placed), event)
    assert names(it) == {"theirs": 1}
    assert it.end_of(replacement()) is end


async def test_what_somebody_else_stopped_is_no_sign() -> None:
    assert names(await seen(Engine(None), stop("another"))) == {"lost": 1}


async def test_what_has_other_settings_is_composes() -> None:
    assert names(await seen(Engine(container("theirs", "v1", labels={HASH: "second"})))) == {"theirs": 1}


async def test_what_went_with_its_network_was_taken_down() -> None:
    it = await seen(Engine(None, networks=()))
    assert "its network front with it" in it.theirs[replacement().id]


async def test_a_one_off_is_not_in_the_place_of_its_service() -> None:
    one_off = container("run", "v1", labels={ONE_OFF: "True"})
    assert names(await seen(Engine(None, rows=(one_off,)))) == {"lost": 1}
    assert names(await seen(Engine(None, rows=(one_off, container("renamed"))))) == {"moved": 1}
