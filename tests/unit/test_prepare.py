"""What an update needs before it can begin."""

from typing import Any

import pytest

from tidegate.agent.decide import Decision
from tidegate.agent.plan_row import Action
from tidegate.agent.prepare import Preparer
from tidegate.agent.signatures import UnverifiedError
from tidegate.agent.survey import Place
from tidegate.domain.reference import Reference, parse_reference
from tidegate.domain.selection import Candidate, Filters, select
from tidegate.engine import parse
from tidegate.engine.errors import NoSpaceError, NotFoundError, PullLimitedError
from tidegate.engine.model import Image

BUILT = "sha256:" + "b" * 64
PUSHED = "sha256:" + "a" * 64
MIB = 2**20


class Engine:
    """Has one image, which was built on it."""

    async def image(self, ref: str) -> Image:
        if ref != BUILT:
            raise NotFoundError(ref)
        return parse.image({"Id": BUILT})

    def __getattr__(self, verb: str) -> Any:
        raise AssertionError(f"{verb} was asked for")


async def test_a_release_that_was_built_here_is_taken_from_the_engine() -> None:
    chosen = select([Candidate("c", "web", "web:live", "running", {})], Filters())[0]
    place = Place("c", "web", "web:live", "sha256:1", "running", {}, chosen)
    decision = Decision(place, Action.UPDATE, "asked for by hand", latest_digest=BUILT, new_image=BUILT)
    preparer = Preparer(Engine(), Engine(), {}, Engine())
    assert await preparer.pull(decision, "web:live") == BUILT


class Policy:
    """Remembers what it was asked about."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def check(self, image: Reference) -> None:
        self.asked.append(str(image))

    def check_local(self, image: Reference) -> None:
        self.asked.append(f"local {image}")


class Pulls:
    """Pulls nothing; may be told that the registry wants to be left alone."""

    def __init__(self, *, limited: bool = False) -> None:
        self.limited = limited
        self.asked: list[str] = []

    def check(self, reference: str) -> Reference:
        self.asked.append(reference)
        if self.limited:
            raise PullLimitedError("it is left alone")
        return parse_reference(reference)

    async def pull(self, *what: str | None) -> None:
        raise AssertionError(f"{what} was pulled")


def decided(labels: dict[str, str] | None = None, digest: str = PUSHED, **more: Any) -> Decision:
    chosen = select([Candidate("c", "web", "web:live", "running", labels or {})], Filters())[0]
    place = Place("c", "web", "web:live", "sha256:1", "running", labels or {}, chosen)
    return Decision(place, Action.UPDATE, "it is newer", latest_digest=digest, **more)


@pytest.mark.parametrize(
    ("decision", "asked"),
    [
        (decided(), [f"docker.io/library/web@{PUSHED}"]),
        (decided(new_image="sha256:" + "c" * 64), [f"docker.io/library/web@{PUSHED}"]),
        (decided(labels={"tidegate.no-pull": "true"}), ["local docker.io/library/web:live"]),
        (decided(digest=BUILT, new_image=BUILT), ["local docker.io/library/web:live"]),
        (decided(ran_here=True), []),
    ],
    ids=["pulled", "known", "no-pull", "built", "ran here"],
)
async def test_the_policy_is_asked_about_exactly_the_digest_that_would_be_pulled(
    decision: Decision, asked: list[str]
) -> None:
    policy = Policy()
    await Preparer(Engine(), Engine(), {}, Pulls(), policy).admit([(decision, "web:live")])
    assert policy.asked == asked


async def test_while_a_registry_is_left_alone_it_is_asked_for_no_signature_either() -> None:
    policy = Policy()
    with pytest.raises(PullLimitedError):
        await Preparer(Engine(), Engine(), {}, Pulls(limited=True), policy).admit([(decided(), "web:live")])
    assert policy.asked == []


async def test_what_need_not_be_pulled_is_let_in_while_its_registry_is_left_alone() -> None:
    class Stocked(Engine):
        async def image(self, ref: str) -> Image:
            return parse.image({"Id": ref})

    pulls = Pulls(limited=True)
    await Preparer(Stocked(), Engine(), {}, pulls).admit([(decided(), "web:live")])
    assert pulls.asked == []


async def test_nothing_is_pulled_before_every_release_of_a_transaction_is_let_in() -> None:
    class Refusing(Policy):
        async def check(self, image: Reference) -> None:
            await super().check(image)
            if image.name == "docker.io/library/api":
                raise UnverifiedError("api was not pulled")

    policy = Refusing()
    preparer = Preparer(Engine(), Engine(), {}, Pulls(), policy)  # an engine that is asked for nothing
    with pytest.raises(UnverifiedError):
        await preparer.prepare("1", [(decided(), "web:live"), (decided(), "api:live")])
    assert len(policy.asked) == 2


class Disk(Engine):
    """Has so much room, where it can be told, and no credentials; `pulled` are the images that came onto it."""

    def __init__(self, free_bytes: int | None) -> None:
        self.free = free_bytes
        self.pulled: list[str] = []

    async def free_bytes(self) -> int | None:
        return self.free

    async def credential(self, _: str) -> None:
        return None

    async def image(self, ref: str) -> Image:
        if ref not in self.pulled:
            raise NotFoundError(ref)
        return parse.image({"Id": BUILT})


class Onto(Pulls):
    """Pulls onto this disk."""

    def __init__(self, disk: Disk) -> None:
        super().__init__()
        self._disk = disk

    async def pull(self, *what: str | None) -> None:
        self._disk.pulled.append(str(what[0]))


async def test_without_room_on_the_engines_disk_nothing_is_pulled_and_the_way_to_get_some_is_told() -> None:
    disk = Disk(64 * MIB - 1)
    with pytest.raises(NoSpaceError, match=r"web:live was not pulled.* 63 MiB left.*`docker image prune`"):
        await Preparer(disk, disk, {}, Onto(disk)).pull(decided(), "web:live")
    assert disk.pulled == []


@pytest.mark.parametrize("free_bytes", [64 * MIB, None], ids=["enough", "not known"])
async def test_with_room_or_where_that_cannot_be_told_it_is_pulled(free_bytes: int | None) -> None:
    disk = Disk(free_bytes)
    assert await Preparer(disk, disk, {}, Onto(disk)).pull(decided(), "web:live") == BUILT
    assert disk.pulled == [f"web@{PUSHED}"]
