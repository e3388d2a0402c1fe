"""The example's Compose files, and its list of variables, agree with each other and with what needs them."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from tests.support.pages import ROOT

from tidegate.agent.settings import load_settings

EXAMPLE = ROOT / "examples" / "autonomy"
FILES = [
    "docker-compose.yml",
    "docker-compose.edge.yml",
    "docker-compose.watchtower.yml",
    "docker-compose.watchtower-managed.yml",
]


def used(name: str) -> dict[str, str]:
    """The variables of a Compose file, with their defaults."""
    return dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", (EXAMPLE / name).read_text(encoding="utf-8")))


def asked_for(name: str) -> set[str]:
    """The variables of a Compose file that have to be given."""
    return set(re.findall(r"\$\{([A-Z_]+):\?", (EXAMPLE / name).read_text(encoding="utf-8")))


def listed() -> dict[str, str]:
    """The variables of `.env.example`, with what they are without it."""
    return dict(re.findall(r"^#([A-Z_]+)=(.*)$", (EXAMPLE / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))


def test_every_variable_is_listed_with_its_default_and_no_other() -> None:
    given = set().union(*(asked_for(file) for file in FILES))
    found = listed()
    assert {name: default for name, default in found.items() if name not in given} == {
        name: default for file in FILES for name, default in used(file).items()
    }
    assert given <= set(found)


@pytest.mark.parametrize("name", FILES)
def test_every_variable_has_a_default(name: str) -> None:
    text = (EXAMPLE / name).read_text(encoding="utf-8")
    assert re.findall(r"\$\{[A-Z_]+\}", text) == []


def test_the_proxy_asks_the_service_and_the_port_that_there_are() -> None:
    text = (EXAMPLE / "haproxy.cfg").read_text(encoding="utf-8")
    assert re.findall(r"server-template \w+ \d+ (\S+)", text) == ["orchestrator:8000"]


def services(name: str) -> dict[str, dict[str, Any]]:
    """What a Compose file has."""
    document = yaml.safe_load((EXAMPLE / name).read_text(encoding="utf-8"))
    return dict(document["services"])


@pytest.mark.parametrize(
    ("name", "agent"), [("docker-compose.yml", "watchtower"), ("docker-compose.watchtower-managed.yml", "agent")]
)
def test_with_both_engines_the_agent_keeps_one_state_and_has_time_to_end_its_work(name: str, agent: str) -> None:
    one = services(name)[agent]
    assert "state:/var/lib/tidegate" in one["volumes"]
    assert one["stop_grace_period"] == "1m"


@pytest.mark.parametrize("token", ["", "a-long-random-text"])
def test_the_agents_metrics_are_on_where_they_have_a_token_of_their_own(token: str) -> None:
    lines = services("docker-compose.watchtower-managed.yml")["agent"]["environment"]
    texts = {"${AGENT_METRICS_TOKEN:+true}": "true" if token else "", "${AGENT_METRICS_TOKEN:-}": token}
    given = {name: texts[text] for name, _, text in (line.partition("=") for line in lines) if text in texts}
    found = load_settings([], given)
    assert (found.http_api_metrics, found.http_api_update, found.http_api_token or "") == (bool(token), False, token)


def test_both_engines_look_at_the_interval_that_env_names() -> None:
    for name, variable in (
        ("docker-compose.yml", "WATCHTOWER_INTERVAL"),
        ("docker-compose.watchtower.yml", "WATCHTOWER_POLL_INTERVAL"),
    ):
        lines = services(name)["watchtower"]["environment"]
        assert f"{variable}=${{WATCHTOWER_INTERVAL:-300}}" in lines
    assert (
        "--interval ${WATCHTOWER_INTERVAL:-300}"
        in services("docker-compose.watchtower-managed.yml")["agent"]["command"]
    )


def test_all_of_the_cluster_is_on_the_plans_network_and_the_consumer_waits_for_what_it_needs() -> None:
    found = services("docker-compose.yml")
    assert {name: one["networks"] for name, one in found.items()} == {name: ["vtuber_network"] for name in found}
    assert found["consumer"]["depends_on"] == {"orchestrator": {"condition": "service_healthy"}}


def test_the_orchestrator_has_the_plans_labels_and_who_updates_it_asks_for_them() -> None:
    labels = services("docker-compose.yml")["orchestrator"]["labels"]
    scope = "com.centurylinklabs.watchtower.scope=autonomy-cluster"
    assert {"com.centurylinklabs.watchtower.enable=true", scope} <= set(labels)
    for name, updater in (("docker-compose.yml", "watchtower"), ("docker-compose.watchtower-managed.yml", "agent")):
        assert services(name)[updater]["command"].startswith("--label-enable --scope autonomy-cluster")
    assert "command" not in services("docker-compose.watchtower.yml")["watchtower"]  # that of the file below counts


def test_the_orchestrator_has_a_volume_that_it_only_reads() -> None:
    """One that it writes to would have the old one stopped before the new one starts."""
    files = ("docker-compose.yml", "docker-compose.edge.yml")
    assert [services(name)["orchestrator"].get("volumes") for name in files] == [["settings:/settings:ro"], None]
    assert '"/settings"' in (EXAMPLE / "orchestrator" / "app").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["alerts.md", "manager-operations.md"])
def test_pages_for_the_night_name_the_services_that_the_agent_is(page: str) -> None:
    found = [name for file in FILES for name, one in services(file).items() if "/agent:" in one.get("image", "")]
    in_place, beside = found
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert f"`tidegate`; in the autonomy cluster `{in_place}`, or `{beside}` beside Watchtower" in text
    assert not re.search(r"docker (compose )?(logs|exec) tidegate", text)
