"""Quarantine, digests seen and earlier containers: what is kept, and what damage does to it."""

import json
import stat
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tidegate.agent.state import Earlier, Previous, Quarantine, QuarantineEntry, Seen, named

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DIGEST = "sha256:" + "ab" * 32
ENTRY = QuarantineEntry(
    "localhost:5000/acme/web", DIGEST, "shop", "web", "it exited with code 3", NOW.isoformat(), "v3"
)
OTHER = replace(ENTRY, service="worker")
EARLIER = Earlier("shop", "web", "1", "acme/web:1", DIGEST, "sha256:1", NOW.isoformat(), {"Env": ["A=b"]}, {})


def held(quarantine: Quarantine, entry: QuarantineEntry) -> bool:
    return quarantine.contains(entry.repository, entry.digest, entry.cluster, entry.service)


# quarantine


def test_an_empty_quarantine_needs_no_file(tmp_path: Path) -> None:
    assert Quarantine(tmp_path / "nowhere").list() == []
    assert not (tmp_path / "nowhere").exists()


def test_a_digest_is_held_for_its_own_target_only(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path)
    quarantine.add(ENTRY)
    assert held(quarantine, ENTRY)
    assert not held(quarantine, OTHER)
    assert not held(quarantine, replace(ENTRY, digest="sha256:" + "cd" * 32))


def test_a_quarantine_survives_a_restart(tmp_path: Path) -> None:
    Quarantine(tmp_path).add(ENTRY)
    assert Quarantine(tmp_path).list() == [ENTRY]


def test_a_quarantine_does_not_grow_for_ever(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path, keep=2)
    for number in range(3):
        quarantine.add(replace(ENTRY, service=f"job-{number}"))
    assert [entry.service for entry in quarantine.list()] == ["job-1", "job-2"]


def test_a_digest_that_fails_again_has_one_entry_with_the_new_reason(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path)
    quarantine.add(ENTRY)
    quarantine.add(replace(ENTRY, reason="again"))
    assert [entry.reason for entry in quarantine.list()] == ["again"]


def test_what_another_process_releases_is_released_at_the_next_question(tmp_path: Path) -> None:
    agent, person = Quarantine(tmp_path), Quarantine(tmp_path)
    agent.add(ENTRY)
    assert held(agent, ENTRY)
    assert person.release(named("shop/web")) == [ENTRY]
    assert not held(agent, ENTRY)


def test_an_entry_that_a_person_removes_with_an_editor_is_released(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path)
    quarantine.add(ENTRY)
    assert held(quarantine, ENTRY)
    (tmp_path / "quarantine.json").write_text("[]\n")
    assert not held(quarantine, ENTRY)


def test_an_entry_written_by_hand_needs_only_what_it_is_found_by(tmp_path: Path) -> None:
    row = {"repository": "acme/web", "digest": DIGEST, "cluster": "shop", "service": "web"}
    (tmp_path / "quarantine.json").write_text(json.dumps([row]))
    assert Quarantine(tmp_path).contains("acme/web", DIGEST, "shop", "web")


@pytest.mark.parametrize("what", ["shop/web", "localhost:5000/acme/web", "all", DIGEST, "ababab", "sha256:abababab"])
def test_a_person_may_name_an_entry_several_ways(what: str) -> None:
    assert named(what)(ENTRY)


@pytest.mark.parametrize("what", ["", "ab", "sha256:", "shop", "web", "acme/web", "shop/worker", "bababab"])
def test_what_names_something_else_releases_nothing(what: str) -> None:
    assert not named(what)(ENTRY)


def test_the_file_is_readable_by_a_person_and_by_nobody_else(tmp_path: Path) -> None:
    Quarantine(tmp_path / "state").add(ENTRY)
    path = tmp_path / "state" / "quarantine.json"
    assert '"reason": "it exited with code 3",\n' in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_truncated_quarantine_counts_as_far_as_it_goes_and_is_left_to_who_may_be_saving_it(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path, clock=lambda: NOW)
    quarantine.add(ENTRY)
    quarantine.add(OTHER)
    path = tmp_path / "quarantine.json"
    damaged = path.read_bytes()[:-40]
    path.write_bytes(damaged)
    with capture_logs() as logs:
        assert quarantine.list() == [ENTRY]
        assert quarantine.list() == [ENTRY]
    assert [log["event"] for log in logs] == ["a state file is damaged; its whole entries count until it is mended"]
    assert [found.name for found in tmp_path.iterdir() if found.name != "edit.lock"] == ["quarantine.json"]
    assert path.read_bytes() == damaged


def test_a_truncated_quarantine_is_set_aside_when_something_is_to_be_written(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path, clock=lambda: NOW)
    quarantine.add(ENTRY)
    path = tmp_path / "quarantine.json"
    damaged = path.read_bytes() + b"{"
    path.write_bytes(damaged)
    quarantine.add(OTHER)
    assert (tmp_path / "quarantine.json.broken-20260501T120000.000000").read_bytes() == damaged
    assert Quarantine(tmp_path).list() == [ENTRY, OTHER]


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00" * 64, b"[1, 2]", b'[{"digest": "x"}]', b"[" * 100_000])
def test_any_rubbish_is_set_aside_and_the_quarantine_goes_on(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "quarantine.json").write_bytes(content)
    quarantine = Quarantine(tmp_path)
    with capture_logs() as logs:
        assert quarantine.list() == []
    assert len(logs) == 1
    quarantine.add(ENTRY)
    assert quarantine.list() == [ENTRY]
    assert len(list(tmp_path.glob("quarantine.json.broken-*"))) == 1


def test_entries_that_ended_up_inside_something_else_are_found(tmp_path: Path) -> None:
    (tmp_path / "quarantine.json").write_text(json.dumps({"entries": [asdict(ENTRY), asdict(OTHER)]}))
    assert Quarantine(tmp_path).list() == [ENTRY, OTHER]


# digests seen


def test_a_digest_keeps_the_time_it_was_first_seen(tmp_path: Path) -> None:
    seen = Seen(tmp_path)
    assert seen.first_seen("acme/web:1", DIGEST, NOW) == NOW
    assert seen.first_seen("acme/web:1", DIGEST, NOW + timedelta(hours=1)) == NOW
    assert Seen(tmp_path).first_seen("acme/web:1", DIGEST, NOW + timedelta(hours=2)) == NOW


def test_asking_whether_a_digest_is_known_notes_nothing(tmp_path: Path) -> None:
    seen = Seen(tmp_path)
    assert seen.known("acme/web:1", DIGEST) is None
    assert list(tmp_path.iterdir()) == []
    seen.first_seen("acme/web:1", DIGEST, NOW)
    assert seen.known("acme/web:1", DIGEST) == NOW


def test_each_channel_has_its_own_first_time(tmp_path: Path) -> None:
    seen = Seen(tmp_path)
    seen.first_seen("acme/web:1", DIGEST, NOW)
    assert seen.first_seen("acme/web:2", DIGEST, NOW + timedelta(hours=1)) == NOW + timedelta(hours=1)


def test_only_the_last_digests_of_a_channel_are_remembered(tmp_path: Path) -> None:
    seen = Seen(tmp_path, keep=2)
    for number in range(3):
        seen.first_seen("acme/web:1", f"sha256:{number}", NOW)
    later = NOW + timedelta(hours=1)
    assert seen.first_seen("acme/web:1", "sha256:2", later) == NOW
    assert seen.first_seen("acme/web:1", "sha256:0", later) == later


def test_only_the_channels_that_had_a_new_digest_last_are_remembered(tmp_path: Path) -> None:
    seen = Seen(tmp_path, channels=2)
    for channel in ("old", "web:1", "db:1", "web:1"):
        seen.first_seen(channel, f"sha256:{len(channel)}", NOW)
    assert [seen.known(one, f"sha256:{len(one)}") for one in ("old", "web:1", "db:1")] == [None, NOW, NOW]


def test_a_time_edited_into_nonsense_counts_from_now_on(tmp_path: Path) -> None:
    row = {"channel": "c", "digest": DIGEST, "first_seen": "yesterday"}
    (tmp_path / "seen.json").write_text(json.dumps([row]))
    seen = Seen(tmp_path)
    assert seen.first_seen("c", DIGEST, NOW) == NOW
    assert seen.first_seen("c", DIGEST, NOW + timedelta(hours=1)) == NOW


# earlier containers


def test_what_ran_before_is_listed_newest_first(tmp_path: Path) -> None:
    previous = Previous(tmp_path)
    for number in range(3):
        previous.add(replace(EARLIER, digest=f"sha256:{number}"), keep=2)
    assert [one.digest for one in previous.of("shop", "web")] == ["sha256:2", "sha256:1"]


def test_each_container_of_a_service_keeps_its_own(tmp_path: Path) -> None:
    previous = Previous(tmp_path)
    previous.add(EARLIER, keep=1)
    previous.add(replace(EARLIER, number="2"), keep=1)
    previous.add(replace(EARLIER, service="db"), keep=1)
    assert {one.number for one in previous.of("shop", "web")} == {"1", "2"}


def test_a_digest_noted_again_moves_to_the_front(tmp_path: Path) -> None:
    previous = Previous(tmp_path)
    for digest in ("sha256:1", "sha256:2", "sha256:1"):
        previous.add(replace(EARLIER, digest=digest), keep=5)
    assert [one.digest for one in previous.of("shop", "web")] == ["sha256:1", "sha256:2"]


def test_what_ran_on_targets_that_are_long_gone_is_forgotten(tmp_path: Path) -> None:
    previous, month = Previous(tmp_path), timedelta(days=30)
    previous.add(EARLIER, keep=3)
    previous.add(replace(EARLIER, service="worker"), keep=3)
    there = {("shop", "web")}
    previous.forget_gone(there, NOW, after=month)
    previous.forget_gone(there, NOW + month - timedelta(days=1), after=month)
    assert [one.service for one in previous.list()] == ["web", "worker"]
    previous.forget_gone(there, NOW + month, after=month)
    assert previous.list() == [EARLIER]


def test_a_target_that_came_back_in_time_is_not_forgotten(tmp_path: Path) -> None:
    previous, month = Previous(tmp_path), timedelta(days=30)
    previous.add(EARLIER, keep=3)
    for days, there in ((0, set()), (20, {("shop", "web")}), (40, set())):
        previous.forget_gone(there, NOW + timedelta(days=days), after=month)
    assert previous.list() == [EARLIER]


def test_saved_environments_are_readable_by_nobody_else(tmp_path: Path) -> None:
    Previous(tmp_path).add(EARLIER, keep=1)
    assert stat.S_IMODE((tmp_path / "previous.json").stat().st_mode) == 0o600


def test_a_saved_request_comes_back_as_it_was(tmp_path: Path) -> None:
    Previous(tmp_path).add(EARLIER, keep=1)
    assert Previous(tmp_path).of("shop", "web") == [EARLIER]
