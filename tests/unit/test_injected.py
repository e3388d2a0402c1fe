"""Which files are taken for what Compose copied into a container."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tidegate.domain.injected import made_by_compose, may_be_injected, was_injected

CREATED = datetime(2026, 5, 1, 12, 0, 0, 300_000, tzinfo=UTC)
STARTED = CREATED + timedelta(seconds=1)
AT_CREATION = datetime(2026, 5, 1, 12, tzinfo=UTC)


def document(*mounts: str, tmpfs: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "Config": {"Labels": {"com.docker.compose.project": "shop"}},
        "Mounts": [{"Destination": mount} for mount in mounts],
        "HostConfig": {"Tmpfs": dict.fromkeys(tmpfs, "")},
    }


def test_only_containers_of_compose_have_something_injected() -> None:
    assert made_by_compose(document())
    assert not made_by_compose({"Config": {"Labels": None}})


def test_secrets_are_looked_at_first_then_what_is_nearest_to_the_root() -> None:
    changed = ["/var", "/var/cache", "/var/cache/a", "/settings", "/run", "/run/secrets", "/run/secrets/key"]
    assert may_be_injected(document(), changed) == ["/run/secrets/key", "/settings", "/var/cache/a"]


def test_what_is_mounted_by_way_of_var_run_is_known_by_both_paths() -> None:
    assert may_be_injected(document("/var/run/secrets/key"), ["/run/secrets/key", "/var/run/other"]) == [
        "/var/run/other"
    ]


@pytest.mark.parametrize("mounted", [document("/data"), document("/data/"), document(tmpfs=("/data",))])
def test_what_is_mounted_is_not_looked_at(mounted: dict[str, Any]) -> None:
    assert may_be_injected(mounted, ["/data", "/data/file", "/database"]) == ["/database"]


def test_a_secret_that_is_a_mount_leaves_its_neighbour_to_be_looked_at() -> None:
    changed = ["/run/secrets/mounted", "/run/secrets/copied"]
    assert may_be_injected(document("/run/secrets/mounted"), changed) == ["/run/secrets/copied"]


@pytest.mark.parametrize(
    ("modified", "injected"),
    [
        (AT_CREATION, True),
        (AT_CREATION + timedelta(seconds=1), True),
        (AT_CREATION + timedelta(microseconds=300), False),  # a program wrote it
        (AT_CREATION - timedelta(days=1), False),  # the image brought it along, and its mode was changed
        (AT_CREATION + timedelta(minutes=1), False),  # unpacked by a program that ran
    ],
)
def test_a_file_with_the_time_of_the_creation_in_whole_seconds_was_injected(modified: datetime, injected: bool) -> None:
    assert was_injected("/etc/app.conf", modified=modified, created=CREATED, started=STARTED) is injected


def test_a_secret_was_injected_even_if_it_was_changed_since() -> None:
    late = STARTED + timedelta(hours=1, microseconds=7)
    assert was_injected("/run/secrets/key", modified=late, created=CREATED, started=STARTED)


def test_a_container_that_never_started_has_no_upper_bound() -> None:
    late = AT_CREATION + timedelta(hours=1)
    assert was_injected("/app.conf", modified=late, created=CREATED, started=None)
