"""The deployment script is not done before the updater stays up, and says of what ends by itself what is to be done."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.deployment import Deployment
from tests.support.docker import docker

BASE = "docker-compose.yml"


def ending(deployment: Deployment, line: str) -> str:
    """An image that does this line of the shell and ends."""
    options: dict[str, Any] = {"Entrypoint": ["/bin/sh", "-c", line], "Cmd": []}
    return deployment.image("ending", **options)


@pytest.mark.parametrize("engine", ["tidegate", "watchtower"])
def test_an_updater_that_ends_again_and_again_is_put_back_with_what_it_said(
    deployment: Deployment, engine: str
) -> None:
    deployment.first("--engine", engine, "--set", "GREETING=hello")
    with (deployment.folder / ".env").open("a", encoding="utf-8") as file:
        file.write("DB_PASSWORD=hunter2\n")
    files, image = deployment.files(), deployment.image_of("watchtower")
    bad = ending(deployment, "sleep 1; echo no such setting: hunter2; exit 2")
    words = ("--agent-image", bad) if engine == "tidegate" else ("--set", f"WATCHTOWER_IMAGE={bad}")
    told = deployment.run(*words, code=1)
    assert "watchtower does not stay up" in told
    assert ("no such setting: ***" in told, "hunter2" in told, "done: files" in told) == (True, False, True)
    assert (deployment.files(), deployment.image_of("watchtower")) == (files, image)
    assert "nothing to change" in deployment.run()


def test_of_a_first_run_what_the_updater_said_is_masked_too(deployment: Deployment) -> None:
    deployment.folder.mkdir()
    (deployment.folder / ".env").write_text("DB_PASSWORD=hunter2\n", encoding="utf-8")
    deployment.agent = ending(deployment, "sleep 1; echo no such setting: hunter2; exit 2")
    told = deployment.run(first=True, code=1)
    assert ("no such setting: ***" in told, "hunter2" in told) == (True, False)
    assert deployment.compose.ids() == set()


def test_one_that_began_to_end_later_is_no_cluster_that_runs_as_it_is_to(deployment: Deployment) -> None:
    deployment.agent = ending(deployment, "until [ -e /state/bad ]; do sleep 0.1; done; sleep 1; exit 2")
    deployment.first()
    docker("exec", deployment.ids()["watchtower"], "touch", "/state/bad")
    told = deployment.run(code=1)
    assert ("watchtower does not stay up" in told, "nothing to change" in told) == (True, False)


def once(image: str) -> str:
    """A service that ends with 0, before the others in the Compose file."""
    return f"services:\n  once:\n    image: {image}\n"


def test_a_service_that_does_one_thing_and_ends_is_told_of_and_how_to_have_it(deployment: Deployment) -> None:
    base = deployment.template / BASE
    text = base.read_text(encoding="utf-8")
    service = once(ending(deployment, "exit 0"))
    base.write_text(text.replace("services:\n", service, 1), encoding="utf-8")
    told = deployment.run(first=True, code=1)
    assert "once has ended with 0, which Compose takes for a failure" in told
    assert "depends_on: once: condition: service_completed_successfully" in told
    assert (deployment.files(), deployment.compose.ids()) == ({}, set())
    waiting = "    depends_on:\n      once:\n        condition: service_completed_successfully\n"
    base.write_text(text.replace("services:\n", service, 1).replace("    depends_on:\n", waiting, 1), encoding="utf-8")
    assert "done:" in deployment.first()
    assert "nothing to change" in deployment.run()


def test_of_one_in_a_cluster_that_somebody_made_it_tells_before_anything_is_touched(deployment: Deployment) -> None:
    text = deployment.adopted(updater=deployment.agent)
    service = once(ending(deployment, "exit 0"))
    (deployment.folder / BASE).write_text(text.replace("services:\n", service, 1), encoding="utf-8")
    docker("compose", "--project-directory", str(deployment.folder), "up", "-d")
    before = (deployment.files(), deployment.ids())
    told = deployment.run(code=2)
    assert "once has ended with 0, which Compose takes for a failure" in told
    assert (deployment.files(), deployment.ids()) == before
