"""Where Watchtower is the updater: what it is told to do, and what the agent does itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from tidegate.agent.decide import Decision
from tidegate.agent.detect import Finding
from tidegate.agent.plan_row import Action
from tidegate.agent.settings import SettingsError, load_settings
from tidegate.agent.survey import Place, Survey
from tidegate.agent.transaction import Transaction
from tidegate.agent.watchtower import engine as ways
from tidegate.agent.watchtower.client import Counts, WatchtowerError, image_key
from tidegate.agent.watchtower.engine import WatchtowerEngine, Way
from tidegate.agent.watchtower.watch import Watch
from tidegate.agent.within import within
from tidegate.domain.policy import PolicyDefaults, resolve_policy
from tidegate.domain.selection import Selection
from tidegate.engine.errors import NotFoundError

OLD, NEW, OTHER = (f"sha256:{digit * 64}" for digit in "abc")
TAG = "ghcr.io/acme/web:live"
PINNED = f"ghcr.io/acme/web@{OLD}"


def place(
    name: str = "web",
    image: str = TAG,
    image_id: str = "old",
    *,
    labels: Mapping[str, str] | None = None,
    state: str = "running",
    selected: bool = True,
) -> Place:
    labels = labels or {}
    policy = resolve_policy(labels, PolicyDefaults()) if selected else None
    return Place(name, name, image, image_id, state, labels, Selection(name, selected, "", policy))


class Images:
    """What the engine has: by id, and by what its tags name."""

    def __init__(self, tags: Mapping[str, str]) -> None:
        self._tags = tags

    async def image(self, reference: str) -> Any:
        id_ = self._tags.get(reference, "old") if ":" in reference else reference
        if id_ == "none":
            raise NotFoundError(reference)
        return SimpleNamespace(id=id_, repo_digests=(f"ghcr.io/acme/web@{OLD}",) if id_ == "old" else ())


async def way(
    moving: Place,
    to: str = NEW,
    *others: Place,
    named: str | None = NEW,
    running: str = OLD,
    injected: bytes = b"",
    has: bool = True,
    scope: str | None = None,
    tags: Mapping[str, str] | None = None,
    monkeypatch: pytest.MonkeyPatch,
) -> Way:
    """How one is moved, where every tag names `named`, and `old` is known by OLD.

    `has`: whether the registry still has that. `tags` are what the engine's own tags name, `old` else.
    """

    async def look(references: Iterable[str], *, patient: bool) -> dict[str, Finding]:
        assert not patient
        return {one: Finding(one, digest=named, error=None if named else "it is away") for one in references}

    async def registry_has(reference: str, digest: str) -> bool:
        return has and (reference, digest) == (TAG, running)

    async def taken_from(*_: object) -> bytes:
        return injected

    monkeypatch.setattr(ways, "taken_from", taken_from)
    detector: Any = SimpleNamespace(look=look, has=registry_has)
    engine: Any = Images(tags or {})
    it = WatchtowerEngine(engine, detector, SimpleNamespace(), own="agent", scope=scope)  # type: ignore[arg-type]
    decision = Decision(moving, Action.UPDATE, "assigned", running, to)
    return await it.way([decision], Survey((moving, *others), {}))


def by_the_agent(found: Way) -> bool:
    return found.walk is Transaction.run


async def test_what_the_tag_names_is_watchtowers_and_the_way_back_is_by_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    found = await way(place(), monkeypatch=monkeypatch)
    assert not by_the_agent(found)
    assert [(one.pin, one.pin_back) for one in found.moving] == [(False, True)]


@pytest.mark.parametrize(
    ("moving", "how", "pins", "why"),
    [
        (place(), {"named": OTHER}, (True, True), "names another release now"),
        (place(), {"named": None}, (True, True), "could not be found out"),
        (place(), {"has": False}, (False, True), "does not give what web runs any more"),
        (place(labels={"tidegate.follows": f"{TAG}r"}), {}, (False, True), "by a label that Watchtower does not read"),
        (place(), {"named": OLD}, (True, False), "names another release now"),
        (place(image=PINNED, labels={"tidegate.follows": TAG}), {}, (False, True), "is pinned"),
        (place("agent"), {}, (False, True), "is the agent itself"),
        (place(image_id=OLD), {}, (False, False), "is in no registry"),
        (place(labels={"tidegate.no-pull": "true"}), {}, (False, True), "takes what the engine has"),
        (place(), {"injected": b"tar"}, (False, True), "would lose what Compose has copied"),
    ],
)
async def test_the_rest_is_the_agents_and_pinned_where_the_tag_names_something_else(
    moving: Place, how: dict[str, Any], pins: tuple[bool, bool], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await way(moving, monkeypatch=monkeypatch, **how)
    assert (by_the_agent(found), [(one.pin, one.pin_back) for one in found.moving]) == (True, [pins])
    assert why in found.why


async def test_nothing_moves_along_that_nobody_assigned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Watchtower compares what stands before the first colon of an image."""
    other = place("other", "ghcr.io/acme/web:beta")
    found = await way(place(), NEW, other, monkeypatch=monkeypatch)
    assert (by_the_agent(found), "would move other as well" in found.why) == (True, True)
    apart = (place("other", "ghcr.io/acme/api:live"), place("pinned", PINNED, labels={"tidegate.follows": TAG}))
    assert not by_the_agent(await way(place(), NEW, *apart, monkeypatch=monkeypatch))
    elsewhere = place("other", "ghcr.io/acme/web:beta", image_id="newer")
    assert by_the_agent(await way(place(), NEW, elsewhere, monkeypatch=monkeypatch))


BETA = "ghcr.io/acme/web:beta"
SCOPE, ENABLE = "com.centurylinklabs.watchtower.scope", "com.centurylinklabs.watchtower.enable"


@pytest.mark.parametrize(
    ("other", "how", "stays"),
    [
        (place("other", BETA), {}, True),
        (place("other", BETA), {"tags": {BETA: "newer"}}, False),
        (place("other", BETA), {"tags": {BETA: "none"}}, False),
        (place("other", BETA, "newer"), {}, False),
        (place("other", BETA, "newer", selected=False), {}, False),
        (place("other", BETA, "newer", state="exited"), {}, True),
        (place("other", BETA, "newer", labels={ENABLE: "false"}), {}, True),
        (place("other", BETA, "newer", labels={SCOPE: "green"}), {"scope": "blue"}, True),
        (place("other", BETA, "newer", labels={SCOPE: "blue"}), {"scope": "blue"}, False),
        (place("other", BETA, "newer", labels={SCOPE: "green"}), {}, False),
        (place("other", "ghcr.io/acme/api:live", "newer"), {}, True),
        (
            place(
                "other", "ghcr.io/acme/api:live", "newer", labels={"com.centurylinklabs.zodiac.original-image": BETA}
            ),
            {},
            False,
        ),
    ],
)
async def test_watchtower_is_told_only_where_what_it_would_take_along_stays_as_it_is(
    other: Place, how: dict[str, Any], stays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not this agent's is Watchtower's all the same; it compares with what the engine's own tag names."""
    moving = place(labels={SCOPE: "blue"})
    found = await way(moving, OLD, other, running=OLD, named=OLD, monkeypatch=monkeypatch, **how)
    assert by_the_agent(found) is not stays


def test_images_go_by_what_watchtower_compares() -> None:
    assert image_key("ghcr.io/acme/web:live") == image_key("ghcr.io/acme/web") == "ghcr.io/acme/web"
    assert image_key("localhost:5000/web:live") == "localhost"


# what is known of it


def container(env: list[str], command: list[str]) -> Any:
    document = {"Config": {"Env": env, "Cmd": command}}
    return SimpleNamespace(name="watchtower", document=document)


async def watched(
    counts: Counts | WatchtowerError, env: list[str], command: list[str], scope: str | None = None
) -> Watch:
    async def counted() -> Counts:
        if isinstance(counts, WatchtowerError):
            raise counts
        return counts

    async def containers(**_: object) -> list[Any]:
        return [SimpleNamespace(id="w")]

    async def inspect(_: str) -> Any:
        return container(env, command)

    client: Any = SimpleNamespace(counts=counted)
    engine: Any = SimpleNamespace(containers=containers, container=inspect)
    watch = Watch(client, engine, scope=scope)
    await watch.look()
    return watch


UPDATE, POLLS = "WATCHTOWER_HTTP_API_UPDATE", "WATCHTOWER_HTTP_API_PERIODIC_POLLS"


@pytest.mark.parametrize(
    ("env", "command", "by_itself"),
    [
        ([f"{UPDATE}=true"], [], False),
        ([], ["--http-api-update"], False),
        ([f"{UPDATE}=true", f"{POLLS}=false"], [], False),
        ([f"{UPDATE}=1"], ["--http-api-periodic-polls=false"], False),
        ([f"{UPDATE}=true", f"{POLLS}=true"], [], True),
        ([f"{UPDATE}=true"], ["--http-api-periodic-polls"], True),
        ([], [], True),
        ([f"{UPDATE}=maybe"], [], True),
    ],
)
async def test_one_that_polls_by_itself_is_told_of(env: list[str], command: list[str], by_itself: bool) -> None:
    found = await watched(Counts(1, 0, 0), env, command)
    assert ("polls by itself" in found.trouble) is by_itself


@pytest.mark.parametrize(
    ("env", "command", "ours", "near"),
    [
        ([], ["--scope", "blue"], "blue", True),
        ([], ["--scope=blue"], "green", False),
        (["WATCHTOWER_SCOPE=blue"], [], "green", False),
        (["WATCHTOWER_SCOPE=blue"], ["--scope", "green"], "green", True),
        ([], [], "green", True),
        ([], ["--scope", "blue"], None, True),
    ],
)
async def test_one_of_another_scope_may_poll(env: list[str], command: list[str], ours: str | None, near: bool) -> None:
    found = await watched(Counts(1, 0, 0), env, command, ours)
    assert ("polls by itself" in found.trouble) is near


async def test_failures_and_silence_are_told_of_and_counted() -> None:
    failed = await watched(Counts(3, 1, 2), [f"{UPDATE}=true"], [])
    assert "counts 2 failed" in failed.trouble
    assert [value for *_, value in failed.samples()] == [1, 3, 1, 2]
    both = await watched(Counts(3, 1, 2), [], [])
    assert "counts 2 failed" in both.trouble
    assert "polls by itself" in both.trouble
    silent = await watched(WatchtowerError("it is away"), [], [])
    assert (silent.trouble, [value for *_, value in silent.samples()]) == ("it is away", [0])


async def test_who_has_asked_hears_of_trouble_when_it_comes_and_when_it_goes() -> None:
    watch = await watched(Counts(1, 0, 0), [f"{UPDATE}=true"], [])
    heard: list[str] = []
    watch.on_change = lambda: heard.append(watch.trouble)
    found: list[Counts | WatchtowerError] = [WatchtowerError("it is away")] * 2 + [Counts(1, 0, 0)] * 2

    async def counts() -> Counts:
        one = found.pop(0)
        if isinstance(one, WatchtowerError):
            raise one
        return one

    watch._client.counts = counts  # type: ignore[method-assign]
    while found:
        await watch.look()
    assert heard == ["it is away", ""]


async def test_who_has_asked_hears_of_another_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = await watched(Counts(3, 0, 0, scans=4), [f"{UPDATE}=true"], [])
    heard: list[Counts | None] = []
    watch.on_change = lambda: heard.append(watch.counts)
    for scans in (4, 5, 5):
        counts = Counts(3, 0, 0, scans=scans)
        monkeypatch.setattr(watch._client, "counts", AsyncMock(return_value=counts))
        await watch.look()
    assert heard == [Counts(3, 0, 0, scans=5)]


async def test_failures_of_a_scan_that_the_manager_was_told_of_are_no_trouble_any_more() -> None:
    watch = await watched(Counts(3, 1, 2, scans=4), [f"{UPDATE}=true"], [])
    watch.ended()
    await watch.look()
    assert watch.trouble == ""
    await watch.look()
    assert watch.trouble == ""

    async def again() -> Counts:
        return Counts(3, 1, 2, scans=5)

    watch._client.counts = again  # type: ignore[method-assign]
    await watch.look()
    assert "counts 2 failed" in watch.trouble


async def test_a_look_that_fails_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, twice = 0, asyncio.Event()

    async def look() -> None:
        nonlocal looks
        looks += 1
        if looks > 1:
            twice.set()
        raise RuntimeError

    watch = Watch(SimpleNamespace(), SimpleNamespace(), look_s=0)  # type: ignore[arg-type]
    monkeypatch.setattr(watch, "look", look)
    watch.start()
    assert await within(twice, 5)
    await watch.close()


# settings


def load(**environ: str) -> Any:
    return load_settings([], {f"TIDEGATE_{name}": value for name, value in environ.items()})


def test_it_takes_a_manager_and_a_token() -> None:
    with pytest.raises(SettingsError) as caught:
        load(UPDATE_ENGINE="watchtower")
    assert "TIDEGATE_MANAGER is not set" in str(caught.value)
    assert "TIDEGATE_WATCHTOWER_TOKEN is empty" in str(caught.value)
    found = load(UPDATE_ENGINE="watchtower", MANAGER="https://x", WATCHTOWER_TOKEN="secret")
    assert (found.watchtower, "secret" in repr(found)) == ("http://watchtower:8080", False)


def test_a_token_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("secret\nanother\n", encoding="ascii")
    with pytest.raises(SettingsError, match="a value of one line") as caught:
        load(UPDATE_ENGINE="watchtower", MANAGER="https://x", WATCHTOWER_TOKEN=str(file))
    assert "secret" not in str(caught.value)


def test_what_is_told_of_a_watchtower_that_is_no_updater_has_no_effect_and_is_told_of() -> None:
    assert any("no effect" in one for one in load(WATCHTOWER="http://w:8080", MANAGER="https://x").warnings)
