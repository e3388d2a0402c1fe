"""What was seen behind tags is told once, after the inventory that tells who follows them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tidegate.agent.link.sightings import Sightings
from tidegate.agent.store.files import StateError
from tidegate.protocol.events import Health, InventoryTarget, Running, Sighting

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
OLD, NEW = (f"sha256:{digit * 64}" for digit in "12")
REPOSITORY = "docker.io/library/web"


class Line:
    """What was told, and whether more can be."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.full = False

    def tell(self, it: Sighting) -> None:
        if self.full:
            raise StateError("the disk is full")
        self.said.append((it.tag, it.digest))


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def sightings(line: Line) -> Sightings:
    return Sightings(line.tell)


def seen(digest: str = NEW, tag: str = "1") -> Sighting:
    return Sighting(NOW, REPOSITORY, tag, digest)


def target(tag: str | None = "1") -> InventoryTarget:
    image = f"web:{tag}"
    return InventoryTarget(f"shop/web{tag}", image, REPOSITORY, tag, OLD, Running.RUNNING, Health.NONE)


def test_it_waits_for_the_inventory_that_has_its_target(sightings: Sightings, line: Line) -> None:
    sightings.take([seen(), seen(tag="2")])
    assert line.said == []
    sightings.inventory_told([target(), target(None)])
    assert line.said == [("1", NEW)]
    sightings.inventory_told([target(), target("2")])
    assert line.said == [("1", NEW), ("2", NEW)]


def test_it_is_told_once_and_of_several_that_wait_the_last(sightings: Sightings, line: Line) -> None:
    sightings.take([seen(OLD), seen(NEW)])
    sightings.inventory_told([target()])
    sightings.take([seen(NEW)])
    sightings.inventory_told([target()])
    assert line.said == [("1", NEW)]
    sightings.take([seen(OLD)])
    assert line.said == [("1", NEW), ("1", OLD)]


def test_what_was_moved_back_meanwhile_is_told_no_more(sightings: Sightings, line: Line) -> None:
    sightings.inventory_told([target()])
    sightings.take([seen(OLD)])
    line.full = True
    with pytest.raises(StateError):
        sightings.take([seen(NEW)])
    line.full = False
    sightings.take([seen(OLD)])
    assert line.said == [("1", OLD)]


def test_what_could_not_be_written_is_told_later(sightings: Sightings, line: Line) -> None:
    sightings.inventory_told([target()])
    line.full = True
    with pytest.raises(StateError):
        sightings.take([seen()])
    line.full = False
    sightings.inventory_told([target()])
    assert line.said == [("1", NEW)]


def test_what_is_followed_again_is_told_again(sightings: Sightings, line: Line) -> None:
    for targets in ([target()], [], [target()]):
        sightings.inventory_told(targets)
        sightings.take([seen()])
    assert line.said == [("1", NEW), ("1", NEW)]


def test_to_a_manager_that_has_lost_events_all_is_told_again_after_the_next_inventory(
    sightings: Sightings, line: Line
) -> None:
    sightings.inventory_told([target()])
    sightings.take([seen()])
    sightings.tell_anew()
    sightings.take([seen()])
    assert line.said == [("1", NEW)]
    sightings.inventory_told([target()])
    assert line.said == [("1", NEW), ("1", NEW)]
