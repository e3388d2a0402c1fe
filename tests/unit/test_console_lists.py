"""What the console's lists are made of: differences, where subjects lead, and what is pasted to start an agent."""

import pytest
import yaml  # type: ignore[import-untyped]

from tidegate.manager.console.differences import Difference, differences
from tidegate.manager.console.links import about, address, named
from tidegate.manager.console.snippet import compose_file, is_this_machine


def test_what_stays_is_no_difference_and_documents_are_gone_through() -> None:
    before = {"mode": "automatic", "health": {"settle": "10s", "deadline": "5m"}, "waves": ["1"], "reason": ""}
    after = {"mode": "automatic", "health": {"settle": "10s", "deadline": "9m"}, "waves": ["1", "100%"], "forced": True}
    assert differences(before, after) == [
        Difference("health.deadline", "5m", "9m"),
        Difference("waves", '["1"]', '["1", "100%"]'),
        Difference("forced", None, "true"),
    ]


def test_of_what_was_made_or_is_gone_everything_that_is_not_empty_is_a_difference() -> None:
    it: dict[str, object] = {"name": "a", "reason": "", "until": None, "labels": {}, "scope": []}
    assert differences(None, it) == [Difference("name", None, "a")]
    assert differences(it, None) == [Difference("name", "a", None)]
    assert differences(None, None) == []


@pytest.mark.parametrize(
    ("subject", "link"),
    [
        ("rollout 12", "/rollouts/12"),
        ("rollout x", ""),
        ("agent a&b", "/agents?q=a%26b"),
        ("cluster shop@host", "/clusters/shop@host"),
        ("shop@host/web", "/clusters/shop@host"),
        ("shop?@host/web", "/clusters/shop%3F@host"),
        ("quarantine 3", "/quarantine"),
        ("javascript:alert(1)", ""),
        ("", ""),
    ],
)
def test_a_subject_leads_to_where_it_is_shown(subject: str, link: str) -> None:
    assert about(subject) == link


def test_of_a_digest_the_beginning_is_shown() -> None:
    assert named("digest sha256:" + "a" * 64) == "digest " + "a" * 12
    assert named("rollout 1") == "rollout 1"


def test_an_address_has_what_is_given() -> None:
    assert address("/agents", {"q": "", "state": None}) == "/agents"
    assert address("/audit", {"from": "a&b", "q": ""}) == "/audit?from=a%26b"


@pytest.mark.parametrize("name", ["on", "123", "1e3", "a.b", "$HOME"])
def test_what_is_pasted_is_text_whatever_it_looks_like(name: str) -> None:
    made = yaml.safe_load(compose_file("https://m/$x", name, "te_1_a"))
    assert made["services"]["tidegate"]["environment"] == {
        "TIDEGATE_MANAGER": "https://m/$$x",
        "TIDEGATE_AGENT_NAME": name.replace("$", "$$"),
        "TIDEGATE_ENROL_TOKEN": "te_1_a",
    }


@pytest.mark.parametrize(
    ("url", "so"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:8080", True),
        ("http://localhost", True),
        ("https://tidegate.example.com", False),
        ("http://192.0.2.1", False),
    ],
)
def test_an_address_of_this_machine_leads_a_container_to_itself(url: str, so: bool) -> None:
    assert is_this_machine(url) is so
