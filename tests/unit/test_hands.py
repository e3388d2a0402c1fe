"""What the steps of a replacement ask of an engine."""

from types import SimpleNamespace
from typing import Any

import pytest

from tidegate.agent.guard import Guard
from tidegate.agent.hands import KEEP_REPOSITORY, Hands, Unhealthy
from tidegate.agent.tags import point_tag
from tidegate.domain.policy import PolicyDefaults, resolve_policy
from tidegate.domain.transaction import Step, Strategy
from tidegate.engine import parse
from tidegate.engine.errors import AddressTakenError, EngineError, NoSpaceError, NotRunnableError, PortTakenError
from tidegate.engine.model import Container

IMAGE = "sha256:" + "0" * 64


class Engine:
    """Writes down which tags it was told to move."""

    def __init__(self) -> None:
        self.tags: list[tuple[str, str, str]] = []

    async def tag(self, image: str, repository: str, tag: str) -> None:
        self.tags.append((image, repository, tag))


class Refusing:
    """Starts nothing."""

    def __init__(self, error: EngineError) -> None:
        self._error = error

    async def start(self, _: str) -> None:
        raise self._error


def hands_on(engine: Any, strategy: Strategy = Strategy.START_FIRST, *, reverse: bool = False, **labels: str) -> Any:
    policy = resolve_policy(
        {f"tidegate.{key.replace('_', '-')}": value for key, value in labels.items()}, PolicyDefaults()
    )
    it: Any = SimpleNamespace(
        candidate="new",
        strategy=strategy,
        reverse=reverse,
        follows=False,
        old_image=IMAGE,
        new_image=IMAGE,
        reference="web:live",
    )  # fmt: skip
    guard = Guard(("", "", ""), "old", "tx.0")
    return Hands(engine, engine, replacement=it, policy=policy, guard=guard, prove=engine, announce=engine, ended=bool)


async def why_not_started(error: EngineError) -> type[Exception]:
    hands = hands_on(Refusing(error))
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is the answer
        await hands.start()
    return caught.type


@pytest.mark.parametrize(
    "error",
    [AddressTakenError("taken"), NoSpaceError("full"), PortTakenError("taken"), EngineError("no logging driver")],
)
async def test_what_the_host_lacks_is_no_verdict_on_the_release(error: EngineError) -> None:
    assert await why_not_started(error) is type(error)


async def test_a_command_that_is_not_in_the_image_is_the_releases_fault() -> None:
    assert await why_not_started(NotRunnableError("exec: no such file")) is Unhealthy


class Watched:
    """Has the candidate in one state after another, the last for good."""

    def __init__(self, *states: dict[str, Any]) -> None:
        self._states = list(states)

    async def container(self, ref: str) -> Container:
        state = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        return parse.container({"Id": ref, "Name": "/web-tidegate-next", "Config": {}, "State": state})


WELL, SICK = ({"Running": True, "Health": {"Status": word}} for word in ("healthy", "unhealthy"))
DEAD = {"Running": False, "ExitCode": 3}


async def test_what_was_sick_away_from_its_networks_is_given_the_time_to_recover_on_them() -> None:
    await hands_on(Watched(SICK, WELL), Strategy.SWAP).confirm()


@pytest.mark.parametrize(
    ("strategy", "state", "said"),
    [
        (Strategy.SWAP, DEAD, "exited with code 3"),
        (Strategy.SWAP, SICK, "became unhealthy on joining"),
        (Strategy.START_FIRST, SICK, "became unhealthy on joining"),
    ],
)
async def test_what_does_not_recover_where_it_serves_is_broken(
    strategy: Strategy, state: dict[str, Any], said: str
) -> None:
    with pytest.raises(Unhealthy, match=said):
        await hands_on(Watched(state), strategy, health_timeout="1s").confirm()


async def test_a_release_that_is_put_back_is_not_judged_where_it_serves() -> None:
    await hands_on(Watched(SICK), Strategy.SWAP, reverse=True).confirm()


@pytest.mark.parametrize("state", [DEAD, SICK])
async def test_a_candidate_that_has_fallen_since_its_proof_is_told(state: dict[str, Any]) -> None:
    with pytest.raises(Unhealthy, match="after it had been proved"):
        await hands_on(Watched(state)).look(Step.STOP)


async def test_where_it_joins_what_serves_it_may_still_become_well() -> None:
    await hands_on(Watched(SICK)).look(Step.JOIN)


@pytest.mark.parametrize("reverse", [True, False])
async def test_a_release_that_is_left_for_good_is_not_kept(*, reverse: bool) -> None:
    engine = Engine()
    await hands_on(engine, reverse=reverse).move_tag()
    assert any(repository == KEEP_REPOSITORY for _, repository, _ in engine.tags) is not reverse


async def tags_of(reference: str) -> list[Any]:
    engine = Engine()
    await point_tag(engine, reference, IMAGE)  # type: ignore[arg-type]
    return engine.tags


async def test_a_tag_that_is_not_written_is_latest() -> None:
    assert await tags_of("registry.test:5000/web") == [(IMAGE, "registry.test:5000/web", "latest")]


@pytest.mark.parametrize("reference", ["sha256:" + "a" * 64, "a" * 64, "web@sha256:" + "a" * 64])
async def test_a_container_made_from_an_id_or_a_digest_has_no_tag_to_move(reference: str) -> None:
    assert await tags_of(reference) == []
