"""What is done about what Watchtower left behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.test_watchtower_found import HASH, Engine, container, replacement, stop

from tidegate.agent.guard import TRANSACTION, Guard
from tidegate.agent.hands import Unhealthy
from tidegate.agent.outcome import Ending, NotPutBackError, Result
from tidegate.agent.replacement import NEXT, Replacement
from tidegate.agent.watchtower.client import SilentError, WatchtowerError
from tidegate.agent.watchtower.delegated import Delegated
from tidegate.domain.labels import WATCHTOWER
from tidegate.domain.transaction import Settlement
from tidegate.engine.errors import EngineError, EngineUnavailableError, NotFoundError, PullError
from tidegate.engine.model import Event

LATE_NS = 2_000_000_000


class Placed(Engine):
    """An engine that notes what is done to it."""

    def __init__(self, *answers: Any, **more: Any) -> None:
        super().__init__(*answers, **more)
        self.done: list[str] = []
        self.rehearsed: list[dict[str, Any]] = []
        self.left_over: Any = None
        self.refuses: set[str] = set()

    async def container(self, ref: str) -> Any:
        if not ref.endswith(NEXT):
            return await super().container(ref)
        if self.left_over is None:
            raise NotFoundError(ref)
        return self.left_over

    async def start(self, ref: str) -> None:
        self.done.append(f"start {ref}")

    async def create(self, name: str, body: dict[str, Any]) -> str:
        if name in self.refuses:
            raise EngineError(f"invalid mount config for {name}")
        if name.endswith(NEXT):
            self.rehearsed.append(body)
            return f"rehearsal-{len(self.rehearsed)}"
        self.done.append(f"create {name}")
        return "anew"

    async def remove(self, ref: str, *, force: bool, volumes: bool = False) -> None:
        if not volumes:
            await super().remove(ref, force=force)
        else:
            assert force
            self.removed.append(ref)
            self.left_over = None

    async def set_restart_policy(self, ref: str, _: object) -> None:
        self.done.append(f"policy {ref}")

    async def tag(self, image: str, repository: str, tag: str) -> None:
        self.done.append(f"tag {repository}:{tag} {image}")


class Client:
    """A Watchtower that says this to an update."""

    def __init__(self, error: WatchtowerError | None = None) -> None:
        self._error = error
        self.asked: list[str] = []

    async def update(self, images: Sequence[str]) -> None:
        self.asked.append(f"update {','.join(images)}")
        if self._error is not None:
            raise self._error

    async def at_rest(self, *, patience_s: float) -> None:
        self.asked.append(f"at rest within {patience_s:g} s")
        if self._error is not None:
            raise self._error


class Transaction:
    """As far as it is used; `ended` tells how, and `back` what was put back."""

    def __init__(
        self, *replacements: Replacement, verdict: Exception | None = None, events: Sequence[Event] = ()
    ) -> None:
        self.replacements = replacements or (replacement(),)
        self.replaced: list[Replacement] = []
        self.ends: dict[str, Settlement] = {}
        self.stop = asyncio.Event()
        self.began_ns = 0
        self.before_undo: Any = None
        self.since_ns: dict[str, int] = {}
        self.policies = {it.id: None for it in self.replacements}
        self.tools = self.notes = self.hub = self.prover = self
        self.journal = SimpleNamespace(ended=lambda _: False)
        self.back: list[str] = []
        self.verdicts: list[str] = []
        self._verdict, self._events = verdict, events

    def begin(self, *, delegated: bool) -> None:
        assert delegated

    def note_delegated(self, it: Replacement, candidate: str) -> None:
        it.candidate, self.since_ns[it.id] = candidate, 1
        self.replaced.append(it)

    def verdict(self, reason: str, _: str) -> None:
        self.verdicts.append(reason)

    async def keep_output(self, container: str | None) -> None:
        assert container is not None

    def note(self, kind: str, **_: object) -> None:
        assert kind == "rehearsed"

    async def past_events(self, since_ns: int) -> list[Event]:
        return [event for event in self._events if event.time_ns >= since_ns]

    def guard(self, it: Replacement) -> Guard:
        return Guard((it.cluster, it.service, it.number), it.incumbent, it.id)

    @contextlib.contextmanager
    def listening(self, _: object) -> Iterator[None]:
        yield

    async def prove(self, *_: object, **__: object) -> None:
        if self._verdict is not None:
            raise self._verdict

    async def bake(self) -> Result:
        return Result(Ending.COMMITTED, "healthy")

    async def undo(self, result: Result) -> Result:
        await self.before_undo(self.replaced)
        self.back = [it.name for it in self.replaced]
        return result

    def finish(self, result: Result) -> Result:
        return result


async def nothing(*_: object) -> None:
    pass


def delegated(engine: Placed, client: Client | None = None, bring_back: Any = nothing) -> Delegated:
    return Delegated(client or Client(), engine, bring_back)  # type: ignore[arg-type]


async def run(engine: Placed, transaction: Transaction, client: Client | None = None) -> Result:
    return await delegated(engine, client).run(transaction)  # type: ignore[arg-type]


async def go_on(engine: Placed, transaction: Transaction, client: Client | None = None) -> Result:
    return await delegated(engine, client).go_on(transaction)  # type: ignore[arg-type]


async def test_what_watchtower_stopped_and_left_is_started() -> None:
    engine, transaction = Placed(container("old", "v1", "exited")), Transaction()
    result = await run(engine, transaction, Client(WatchtowerError("it broke off")))
    assert engine.done == ["start old"]
    assert (result.ending, result.blame) == (Ending.FAILED, False)
    assert "it broke off; Watchtower stopped shop-web-1" in result.reason


async def test_what_was_lost_is_made_anew_from_an_image_that_is_there() -> None:
    engine, had = Placed(None), []

    async def bring_back(reference: str, digest: str) -> None:
        had.append((reference, digest, list(engine.done)))

    transaction = Transaction()
    result = await delegated(engine, bring_back=bring_back).run(transaction)  # type: ignore[arg-type]
    assert had == [("registry.test/web:live", "sha256:a", [])]
    assert engine.done[:2] == ["create shop-web-1", "start anew"]
    assert (result.ending, transaction.ends) == (Ending.FAILED, {"shop-web-1": Settlement.INCUMBENT})


async def test_what_the_engine_would_refuse_is_found_before_watchtower_is_told() -> None:
    engine, client = Placed(container("old", "v1")), Client()
    engine.refuses = {f"shop-web-2{NEXT}"}
    transaction = Transaction(replacement(), replacement(id="20261123-120000-abcd.1", name="shop-web-2", number="2"))
    result = await run(engine, transaction, client)
    assert (client.asked, engine.done, engine.removed) == ([], [], ["rehearsal-1"])
    assert (result.ending, result.blame) == (Ending.FAILED, False)
    assert "shop-web-2 was not touched" in result.reason
    assert "invalid mount config" in result.reason


async def test_a_rehearsal_is_of_the_new_image_and_bears_no_label_that_anybody_goes_by() -> None:
    engine = Placed(container())
    theirs = {f"{WATCHTOWER}.scope": "shop", f"{WATCHTOWER}.enable": "true", WATCHTOWER: "true"}
    labels = {HASH: "first", "a": "b", **theirs}
    request = {"Image": "registry.test/web:live", "Labels": labels | {"tidegate.hook.pre-check": "ls"}}
    await run(engine, Transaction(replacement(request=request)))
    (made,) = engine.rehearsed
    assert made["Image"] == "v2"
    assert made["Labels"] == {"a": "b", f"{WATCHTOWER}.enable": "false", TRANSACTION: "20261123-120000-abcd.0"}
    assert made["HostConfig"]["RestartPolicy"]["Name"] == "no"
    assert engine.removed == ["rehearsal-1"]


@pytest.mark.parametrize(("of", "removed"), [("20261123-120000-abcd.0", ["left"]), ("20261122-120000-ffff.0", [])])
async def test_what_a_kill_has_left_of_a_rehearsal_is_removed(of: str, removed: list[str]) -> None:
    engine = Placed(container("old", "v1"))
    engine.left_over = container("left", "v2", "created", labels={TRANSACTION: of})
    await go_on(engine, Transaction())
    assert engine.removed == removed


async def test_what_cannot_run_again_is_told_of_once_the_others_do() -> None:
    engine = Placed(None)
    engine.refuses = {"shop-web-1"}
    others = replacement(id="20261123-120000-abcd.1", name="shop-web-2", number="2", incumbent="older")
    with pytest.raises(NotPutBackError, match=r"removed shop-web-1.*invalid mount config.*Nothing serves there"):
        await run(engine, Transaction(replacement(), others))
    assert engine.done[:2] == ["create shop-web-2", "start anew"]


async def test_what_was_made_and_never_started_goes_back_and_nobody_is_blamed() -> None:
    transaction = Transaction()
    result = await run(Placed(container(status="created")), transaction)
    assert (result.ending, result.blame, transaction.back) == (Ending.FAILED, False, ["shop-web-1"])
    assert "anew but did not start it" in result.reason


async def test_a_watchtower_that_may_still_be_at_work_leaves_the_update_open() -> None:
    for act in (run, go_on):
        with pytest.raises(EngineError, match="may still be at work"):
            await act(Placed(container()), Transaction(), Client(SilentError("no answer within 1800 s")))


async def test_a_release_is_proved_though_the_one_before_cannot_be_had() -> None:
    async def bring_back(*_: object) -> None:
        raise PullError("the registry is away")

    for verdict, expected in ((None, "committed"), (Unhealthy("it is sick"), "open")):
        transaction = Transaction(verdict=verdict)
        acting = delegated(Placed(container()), bring_back=bring_back)
        try:
            end = str((await acting.run(transaction)).ending)  # type: ignore[arg-type]
        except PullError:
            end = "open"
        assert (end, bool(transaction.verdicts)) == (expected, verdict is not None)


async def test_after_a_kill_watchtower_is_waited_for_and_not_told_again() -> None:
    client = Client()
    assert (await go_on(Placed(container()), Transaction(), client)).ending is Ending.COMMITTED
    untouched = await go_on(Placed(container("old", "v1")), Transaction(), client)
    assert (untouched.ending, untouched.blame) == (Ending.INTERRUPTED, False)
    assert client.asked == ["at rest within 60 s"] * 2


@pytest.mark.parametrize(
    ("events", "done"),
    [([], ["start new"]), ([Event("container", "die", "new", {}, 5)], [])],
    ids=["went down with the host", "ended by itself"],
)
async def test_what_went_down_with_the_host_is_started_before_it_is_judged(
    events: list[Event], done: list[str]
) -> None:
    engine = Placed(container(status="exited"))
    await go_on(engine, Transaction(events=events))
    assert engine.done == done


async def test_what_was_begun_is_ended_without_a_watchtower_too() -> None:
    engine = Placed(None)
    result = await Delegated(None, engine, nothing).go_on(Transaction())  # type: ignore[arg-type]
    assert (result.ending, engine.done[0]) == (Ending.FAILED, "create shop-web-1")


async def test_what_somebody_stopped_stays_and_what_moved_with_it_goes_back() -> None:
    others = replacement(id="20261123-120000-abcd.1", name="shop-web-2", number="2", incumbent="older")
    engine = Placed(container("old", "v1", "exited"), container("new"))
    transaction = Transaction(replacement(), others, events=[stop("old")])
    result = await run(engine, transaction)
    assert (result.ending, transaction.back, engine.done) == (Ending.GAVE_WAY, ["shop-web-2"], [])
    assert transaction.ends == {"shop-web-1": Settlement.INCUMBENT_STOPPED}


async def test_one_that_ended_by_somebodys_hand_after_watchtower_was_done_is_no_verdict() -> None:
    """Of several each is proved in its turn; what was done to one meanwhile is known when that comes."""
    kill = [Event("container", what, "new", {"signal": "15"}, LATE_NS) for what in ("kill", "die")]
    engine = Placed(container())
    engine.network = bridge_that_never_changed  # type: ignore[method-assign,assignment]
    transaction = Transaction(verdict=Unhealthy("it exited"), events=kill)
    result = await run(engine, transaction)
    assert (result.ending, transaction.verdicts) == (Ending.GAVE_WAY, [])


async def test_an_engine_that_was_started_again_meanwhile_is_nobodys_hand() -> None:
    kill = [Event("container", what, "new", {"signal": "15"}, LATE_NS) for what in ("kill", "die")]
    engine = Placed(container())
    engine.network = bridge_of_another_engine  # type: ignore[method-assign,assignment]
    with pytest.raises(EngineUnavailableError):
        await run(engine, Transaction(verdict=Unhealthy("it exited"), events=kill))


async def bridge_that_never_changed(_: str) -> Any:
    return SimpleNamespace(created=datetime.fromtimestamp(1, UTC))


async def bridge_of_another_engine(_: str) -> Any:
    return SimpleNamespace(created=datetime.now(UTC) + timedelta(seconds=1))
