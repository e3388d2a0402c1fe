"""What the agent is told of a manager: read once, refused in sentences, and its secrets kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.agent.link.client import ManagerClient
from tidegate.agent.settings import Settings, SettingsError, load_settings
from tidegate.agent.store.files import wall_clock
from tidegate.protocol.messages import is_agent_name

MANAGER = "https://tidegate.example.com"


def load(**environ: str) -> Settings:
    return load_settings([], {f"TIDEGATE_{name}": value for name, value in environ.items()})


def faults(**environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(**environ)
    return str(caught.value)


def test_an_agent_with_a_manager_is_managed_and_has_a_name() -> None:
    assert not load().managed
    found = load(MANAGER=MANAGER + "/")
    assert (found.managed, found.manager) == (True, MANAGER)
    assert is_agent_name(found.agent_name)


@pytest.mark.parametrize("host", ["berlin_1.local", "\u00fcber", "-", "x" * 90, "a b"])
def test_every_host_has_a_name_that_a_manager_takes(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.agent.settings.gethostname", lambda: host)
    assert is_agent_name(load(MANAGER=MANAGER).agent_name)


@pytest.mark.parametrize(
    "url",
    [
        "tidegate.example.com",
        "ftp://x",
        "https://",
        "https://x/path",
        "https://u:p@x",
        "https://x:99999",
        "https://x?y",
    ],
)
def test_what_is_no_address_of_a_manager_is_refused(url: str) -> None:
    assert faults(MANAGER=url).startswith("TIDEGATE_MANAGER is")


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        (MANAGER, False),
        ("http://127.0.0.1:8000", False),
        ("http://[::1]:8000", False),
        ("http://manager:8000", False),
        ("http://tidegate.example.com", True),
        ("http://192.0.2.7", True),
    ],
)
def test_an_address_without_tls_beyond_this_machine_is_warned_of(url: str, warned: bool) -> None:
    assert any("without TLS" in warning for warning in load(MANAGER=url).warnings) is warned


def test_a_token_is_given_in_one_way_and_shown_in_none(tmp_path: Path) -> None:
    path = tmp_path / "token"
    by_file = load(MANAGER=MANAGER, ENROL_TOKEN_FILE=str(path))
    assert by_file.enrolment_token() is None  # it may come later
    path.write_text("tge_secret\n")
    assert by_file.enrolment_token() == "tge_secret"
    plain = load(MANAGER=MANAGER, ENROL_TOKEN="tge_secret")
    assert (plain.enrolment_token(), "tge_secret" in repr(plain)) == ("tge_secret", False)
    assert "both set" in faults(MANAGER=MANAGER, ENROL_TOKEN="tge_secret", ENROL_TOKEN_FILE=str(path))
    assert "tge_secret" not in faults(MANAGER="x", ENROL_TOKEN="tge_secret")


def test_what_is_told_of_a_manager_that_is_not_set_has_no_effect_and_that_is_said() -> None:
    assert any("no effect" in warning for warning in load(ENROL_TOKEN="tge_x").warnings)


def test_a_name_that_no_manager_takes_is_refused() -> None:
    assert "beginning with a letter or digit" in faults(MANAGER=MANAGER, AGENT_NAME="a/b")


async def test_the_client_takes_every_address_that_the_settings_do() -> None:
    client = ManagerClient(load(MANAGER="http://[::1]:8000").manager or "", wall_clock)
    assert client.now().tzinfo is not None
    await client.close()
