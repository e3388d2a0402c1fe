"""The example's Compose files and its list of variables agree."""

from __future__ import annotations

import re

import pytest
from tests.support.pages import ROOT

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
