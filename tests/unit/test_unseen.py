"""What people did while nobody listened, told by what is left."""

from typing import Any

import pytest

from tidegate.agent.guard import Guard
from tidegate.agent.missed import Memory
from tidegate.agent.replacement import Replacement
from tidegate.agent.unfinished import read
from tidegate.agent.unseen import find_out, stopped_by_somebody
from tidegate.domain.transaction import Step, Strategy, Touch
from tidegate.engine import parse
from tidegate.engine.errors import NotFoundError
from tidegate.engine.model import Container

TX = "20261125-120000-abcd"


def container(ref: str = "old", code: int | None = None, policy: str = "no", *, oom: bool = False) -> Container:
    """One that runs, or that ended with a code."""
    state = {"Status": "exited", "Running": code is None, "ExitCode": code or 0, "OOMKilled": oom}
    return parse.container(
        {"Id": ref, "Name": ref, "Config": {}, "State": state, "HostConfig": {"RestartPolicy": {"Name": policy}}}
    )


@pytest.mark.parametrize(
    ("found", "remembered", "stopped"),
    [
        (container(), Memory.DROPPED, False),
        (container(code=143), Memory.WHOLE, False),
        (container(code=143), Memory.DROPPED, True),
        (container(code=0), Memory.DROPPED, True),
        (container(code=1), Memory.DROPPED, False),
        (container(code=137, oom=True), Memory.DROPPED, False),
        (container(code=143), Memory.RESTARTED, False),
        (container(code=143, policy="unless-stopped"), Memory.RESTARTED, False),
        (container(code=1, policy="always"), Memory.DROPPED, True),
        (container(code=1, policy="on-failure"), Memory.DROPPED, False),
    ],
)
def test_how_a_container_ended_tells_whether_somebody_stopped_it(
    found: Container, remembered: Memory, *, stopped: bool
) -> None:
    assert stopped_by_somebody(found, remembered) is stopped


class Engine:
    """Has some containers, and has forgotten what was long ago."""

    def __init__(self, *containers: Container) -> None:
        self._containers = {one.id: one for one in containers}

    async def container(self, ref: str) -> Container:
        assert ref, "a container without a name is all of them, in the engine's API"
        if ref not in self._containers:
            raise NotFoundError(ref)
        return self._containers[ref]

    async def network(self, ref: str) -> Any:
        raise NotFoundError(ref)

    async def forgot_before_ns(self) -> int:
        return 1_000


async def touches(
    doing: Step, *done: Step, containers: list[Container], last_ns: int = 10, drains: bool = False
) -> tuple[Touch, Touch]:
    """What was done to incumbent and candidate of an update that was cut off before a step had ended."""
    it = Replacement(
        id=f"{TX}.0", cluster="shop", service="web", number="1", name="shop-web-1", incumbent="old",
        reference="web:live", old_image="sha256:1", new_image="sha256:2", old_digest="a", new_digest="b",
        strategy=Strategy.SWAP, late=(), early=(), request={}, endpoints={}, saved={}, saved_endpoints={},
        candidate=None if doing is Step.CREATE else "new", done=set(done),
    )  # fmt: skip
    begin = {"kind": "begin", "replacements": [it.record()]}
    unfinished = read(TX, [begin, {**it.step_record(doing), "time_ns": last_ns}])
    guard = Guard(("shop", "web", "1"), "old", it.id)
    guard.candidate_is("new")
    if unfinished.was_stopping(it):
        guard.ours("old", "stop")
    await find_out(guard, it, unfinished, Engine(*containers), drains=drains)  # type: ignore[arg-type]
    present = {one.id for one in containers}
    parties = [guard.party(ref, present=ref in present) for ref in ("old", "new")]
    assert guard.interfered is (parties[0].touch is not Touch.NONE or parties[1].touch is not Touch.NONE)
    return parties[0].touch, parties[1].touch


OLD, NEW = container("old"), container("new")
NEW_ENDED = container("new", 0)
OLD_STOPPED, NEW_STOPPED = container("old", 143), container("new", 143)


@pytest.mark.parametrize(
    ("doing", "done", "containers", "seen"),
    [
        (Step.PROVE, (), [OLD_STOPPED, NEW], (Touch.STOPPED, Touch.NONE)),
        (Step.PROVE, (), [OLD, NEW_ENDED], (Touch.NONE, Touch.NONE)),
        (Step.PROVE, (), [OLD, NEW_STOPPED], (Touch.NONE, Touch.STOPPED)),
        (Step.STOP, (Step.PROVE,), [OLD, NEW_ENDED], (Touch.NONE, Touch.STOPPED)),
        (Step.PROVE, (), [NEW], (Touch.KILLED, Touch.NONE)),
        (Step.STOP, (Step.PROVE,), [OLD_STOPPED, NEW], (Touch.NONE, Touch.NONE)),
        (Step.STOP, (Step.PROVE,), [OLD_STOPPED, NEW_STOPPED], (Touch.NONE, Touch.STOPPED)),
        (Step.JOIN, (Step.PROVE, Step.CUT), [NEW], (Touch.CLEARED, Touch.NONE)),
        (Step.REMOVE, (Step.PROVE, Step.STOP), [NEW], (Touch.NONE, Touch.NONE)),
        (Step.CREATE, (), [OLD_STOPPED], (Touch.STOPPED, Touch.NONE)),
    ],
)
async def test_what_the_agent_did_not_begin_was_somebody_elses(
    doing: Step, done: tuple[Step, ...], containers: list[Container], seen: tuple[Touch, Touch]
) -> None:
    assert await touches(doing, *done, containers=containers) == seen


@pytest.mark.parametrize(
    ("doing", "drains", "touch"),
    [(Step.DRAIN, True, Touch.NONE), (Step.DRAIN, False, Touch.STOPPED), (Step.HOLD, True, Touch.STOPPED)],
)
async def test_an_incumbent_that_ended_as_its_drain_hook_ran_was_stopped_by_nobody(
    doing: Step, touch: Touch, *, drains: bool
) -> None:
    found = await touches(doing, Step.PROVE, containers=[container("old", 0), NEW], drains=drains)
    assert found == (touch, Touch.NONE)


async def test_where_the_engine_remembers_everything_its_events_are_what_counts() -> None:
    assert await touches(Step.PROVE, containers=[OLD_STOPPED, NEW], last_ns=1_000) == (Touch.NONE, Touch.NONE)
