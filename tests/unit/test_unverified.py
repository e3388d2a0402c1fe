"""A release that is not signed is told once, and asked for again soon while it is new."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from tidegate.agent.bookkeeping import Bookkeeping
from tidegate.agent.decide import Decision
from tidegate.agent.plan_row import Action
from tidegate.agent.state import StateError
from tidegate.agent.survey import Place
from tidegate.agent.unverified import Unverified
from tidegate.domain.selection import Candidate, Filters, select


class Books(Bookkeeping):
    """Remembers what it is given to note."""

    def __init__(self, *, full: bool = False) -> None:
        self.noted: list[tuple[str, str, str]] = []
        self._full = full

    def note(self, place: Place, outcome: str, reason: str, decision: Decision) -> None:
        del decision
        if self._full:
            raise StateError("the disk is full")
        self.noted.append((place.name, outcome, reason))


def due(name: str = "web", digest: str = "sha256:2") -> Decision:
    chosen = select([Candidate(name, name, f"{name}:live", "running", {})], Filters())[0]
    place = Place(name, name, f"{name}:live", "sha256:1", "running", {}, chosen)
    return Decision(place, Action.UPDATE, "a newer release is on its channel", latest_digest=digest)


def told(log: list[Any]) -> list[str]:
    return [entry["container"] for entry in log if entry["event"] == "a release is not verified; what runs stays"]


def test_the_same_thing_is_told_once_for_each_container() -> None:
    books = Books()
    unverified = Unverified(books)
    with capture_logs() as log:
        for _ in range(3):
            unverified.tell([due("web"), due("api")], "no signature")
    assert told(log) == ["web", "api"]
    assert books.noted == [("web", "unverified", "no signature"), ("api", "unverified", "no signature")]


def test_another_reason_and_another_release_are_told_anew() -> None:
    books = Books()
    unverified = Unverified(books)
    unverified.tell([due()], "no signature")
    unverified.tell([due()], "by another")
    unverified.tell([due(digest="sha256:3")], "by another")
    assert [reason for _, _, reason in books.noted] == ["no signature", "by another", "by another"]


def test_other_numbers_in_the_same_words_are_not_told_again() -> None:
    books = Books()
    unverified = Unverified(books)
    unverified.tell([due()], "no answer: read 127.0.0.1:51000 after 3ms")
    unverified.tell([due()], "no answer: read 127.0.0.1:51044 after 12ms")
    unverified.tell([due()], "no answer: 503")
    assert [reason for _, _, reason in books.noted] == ["no answer: read 127.0.0.1:51000 after 3ms", "no answer: 503"]


def test_a_new_release_is_asked_for_again_soon_for_ten_minutes_whatever_is_wrong() -> None:
    now = [0.0]
    unverified = Unverified(Books(), lambda: now[0])
    soon = []
    for later_s, reason in ((0, "no signature"), (300, "by another"), (299, "by another"), (2, "by another")):
        now[0] += later_s
        soon.append(unverified.tell([due()], reason))
    assert soon == [True, True, True, False]
    assert unverified.tell([due(digest="sha256:3")], "no signature") is True


def test_a_full_disk_does_not_end_the_look() -> None:
    with capture_logs() as log:
        Unverified(Books(full=True)).tell([due()], "no signature")
    assert [entry["log_level"] for entry in log] == ["warning", "error"]


@pytest.mark.parametrize("names", [("web",), ("web", "api")])
def test_what_moves_together_is_asked_for_again_as_long_as_one_of_it_is_new(names: tuple[str, ...]) -> None:
    now = [0.0]
    unverified = Unverified(Books(), lambda: now[0])
    unverified.tell([due("web")], "no signature")
    now[0] = 700.0
    members = [replace(due(name)) for name in names]
    assert unverified.tell(members, "no signature") is (len(names) > 1)
