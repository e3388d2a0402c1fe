"""The deployment script has Watchtower speak a version of the engine's API that this engine takes."""

from __future__ import annotations

import pytest
from tests.support.deployment import WATCHTOWER, Deployment

OLD, TODAY = "1.12 1.41", "1.44 1.52"  # Docker 20.10 and 29: the oldest version that is taken, and the newest
ENGINE, VERSION = ("--engine", "watchtower"), "WATCHTOWER_DOCKER_API_VERSION"


def taking(deployment: Deployment, versions: str) -> dict[str, str]:
    """The environment of a run on an engine that says so."""
    return deployment.answering("docker", "version *MinAPIVersion*", versions)


def spoken(deployment: Deployment) -> list[str]:
    """What Watchtower has been told to speak."""
    lines = deployment.compose.container("watchtower")["Config"]["Env"]
    return [line.partition("=")[2] for line in lines if line.startswith("DOCKER_API_VERSION=")]


@pytest.mark.parametrize(
    ("versions", "found"),
    [(OLD, "1.41"), ("1.24 1.45", "1.41"), (TODAY, "1.44"), ("1.100 1.101", "1.100")],
    ids=["20.10", "26", "29", "later"],
)
def test_it_is_the_one_that_was_tried_or_the_oldest_that_the_engine_takes(
    deployment: Deployment, versions: str, found: str
) -> None:
    told = deployment.run(*ENGINE, "--dry-run", first=True, env=taking(deployment, versions))
    assert f"DOCKER_API_VERSION: ${{{VERSION}:-{found}}}" in told


def test_after_the_engine_was_upgraded_it_is_another_and_then_nothing_is_to_change(deployment: Deployment) -> None:
    deployment.run(*ENGINE, first=True, env=taking(deployment, OLD))
    assert spoken(deployment) == ["1.41"]
    before, env = deployment.ids(), taking(deployment, TODAY)
    deployment.run(env=env)
    assert spoken(deployment) == ["1.44"]
    assert {name for name, one in deployment.ids().items() if before[name] != one} == {"watchtower"}
    assert "nothing to change" in deployment.run(env=env)


def test_in_a_folder_that_says_another_by_default_it_is_this(deployment: Deployment) -> None:
    file = deployment.template / WATCHTOWER
    line = f"    environment:\n      - DOCKER_API_VERSION=${{{VERSION}:-1.41}}\n"
    text = file.read_text(encoding="utf-8").replace("    command:", f"{line}    command:")
    file.write_text(text, encoding="utf-8")
    deployment.run(*ENGINE, first=True, env=taking(deployment, TODAY))
    assert spoken(deployment) == ["1.44"]


def test_what_a_person_names_stays_and_is_refused_where_the_engine_does_not_take_it(deployment: Deployment) -> None:
    named = ("--set", f"{VERSION}=1.45")
    deployment.run(*ENGINE, *named, first=True, env=taking(deployment, "1.24 1.45"))
    deployment.run("--interval", "60", env=taking(deployment, TODAY))
    assert spoken(deployment) == [deployment.env()[VERSION]] == ["1.45"]
    files = deployment.files()
    for version, versions in (("1.45", "1.46 1.60"), ("1.45", OLD), ("v1.41", OLD), ("1.4", OLD)):
        told = deployment.run("--set", f"{VERSION}={version}", code=2, env=taking(deployment, versions))
        assert f"'{version}', and this engine takes {versions.replace(' ', ' to ')}" in told
    assert deployment.files() == files


def test_who_goes_back_over_an_upgrade_has_one_that_is_taken(deployment: Deployment) -> None:
    deployment.run(*ENGINE, first=True, env=taking(deployment, OLD))
    deployment.run("--interval", "60", env=taking(deployment, TODAY))
    deployment.run("restore", env=taking(deployment, TODAY))
    assert (spoken(deployment), deployment.env()["WATCHTOWER_INTERVAL"]) == (["1.44"], "300")


def test_who_goes_back_to_one_that_a_person_named_is_warned_where_it_is_not_taken(deployment: Deployment) -> None:
    deployment.run(*ENGINE, "--set", f"{VERSION}=1.41", first=True, env=taking(deployment, OLD))
    deployment.run("--set", f"{VERSION}=1.44", env=taking(deployment, TODAY))
    told = deployment.run("restore", env=taking(deployment, TODAY))
    assert f"warning: {VERSION} is '1.41', and this engine takes 1.44 to 1.52" in told
    assert spoken(deployment) == ["1.41"]
