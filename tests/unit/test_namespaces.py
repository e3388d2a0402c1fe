"""Who lives with whom, and who came first."""

import pytest

from tidegate.domain.namespaces import began_before, homes_of


def test_homes_are_other_containers_whatever_is_shared_with_them() -> None:
    host = {"NetworkMode": "container:vpn", "IpcMode": "container:shm", "PidMode": "host"}
    assert homes_of({"HostConfig": host}) == {"vpn", "shm"}
    assert homes_of({"HostConfig": {"NetworkMode": "bridge", "IpcMode": "private", "PidMode": ""}}) == frozenset()


@pytest.mark.parametrize(
    ("one", "other", "before"),
    [
        ("2026-11-25T04:00:00Z", "2026-11-25T04:00:00.000000001Z", True),
        ("2026-11-25T04:00:00.5Z", "2026-11-25T04:00:00.123456789Z", False),
        ("2026-11-25T04:00:00.123456788Z", "2026-11-25T04:00:00.123456789Z", True),
        ("2026-11-25T04:00:01Z", "2026-11-25T04:00:01Z", False),
    ],
)
def test_starts_are_compared_to_the_nanosecond(one: str, other: str, before: bool) -> None:
    assert began_before(one, other) is before
