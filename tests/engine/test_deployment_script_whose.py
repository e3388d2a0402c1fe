"""A project of one folder is not taken over, and not taken down, from another; a folder may be moved."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from tests.support.deployment import Deployment
from tests.support.docker import docker, listed

PLACES = Path(".tidegate") / "places"


def theirs(deployment: Deployment) -> Path:
    """A cluster of another folder with the project's name; that folder. The test goes on with a folder of its own."""
    deployment.first()
    other = deployment.folder
    deployment.folder = other.with_name("mine")
    return other


def volumes(deployment: Deployment) -> set[str]:
    return listed("volume", f"label=com.docker.compose.project={deployment.compose.project}")


def test_a_project_of_another_folder_is_not_taken_over(deployment: Deployment) -> None:
    other = theirs(deployment)
    before = deployment.ids()
    for words in ((), ("--dry-run",)):
        told = deployment.run(*words, first=True, code=2)
        assert f"made from {other}, and this is {deployment.folder}: take another name (--project NAME)" in told
        assert f"--dir {other}" in told
    assert (deployment.files(), deployment.ids()) == ({}, before)
    deployment.folder = other
    assert "nothing to change" in deployment.run()


@pytest.mark.parametrize("words", [("remove", "--volumes"), ("remove", "--volumes", "--dry-run"), ("restore",)])
def test_nor_is_it_changed_or_taken_down_from_a_copy_of_its_folder(
    deployment: Deployment, words: tuple[str, ...]
) -> None:
    deployment.first()
    deployment.run("--interval", "60")
    before, data, other = deployment.ids(), volumes(deployment), deployment.folder
    deployment.folder = other.with_name("copy")
    copy(other, deployment.folder)
    assert f"made from {other}, and this is {deployment.folder}" in deployment.run(*words, code=2)
    assert (deployment.ids(), volumes(deployment)) == (before, data)
    deployment.folder = other
    deployment.run("remove", "--volumes")
    assert (deployment.compose.ids(), volumes(deployment)) == (set(), set())


def copy(folder: Path, to: Path) -> None:
    subprocess.run(["cp", "-a", str(folder), str(to)], check=True)


def test_a_folder_that_was_moved_goes_on_with_its_cluster(deployment: Deployment) -> None:
    deployment.first()
    before = deployment.ids()
    deployment.folder = deployment.folder.rename(deployment.folder.with_name("moved"))
    assert "done:" in deployment.run("--interval", "60")
    assert {name for name, one in deployment.ids().items() if before[name] != one} == {"watchtower"}
    assert "nothing to change" in deployment.run()
    deployment.run("remove", "--volumes")
    assert (deployment.compose.ids(), volumes(deployment)) == (set(), set())


def test_of_a_folder_that_is_not_known_to_be_the_same_it_says_how_to_say_so(deployment: Deployment) -> None:
    deployment.first()
    (deployment.folder / PLACES).unlink()  # as an earlier version of the script has left it
    former = deployment.folder
    deployment.folder = former.rename(former.with_name("moved"))
    way = re.search(r"'(ln -s [^']+)'", deployment.run("--interval", "60", code=2))
    assert way
    subprocess.run(shlex.split(way[1]), check=True)
    assert "done:" in deployment.run("--interval", "60")
    former.unlink()
    assert "nothing to change" in deployment.run()


def test_a_cluster_that_was_made_by_hand_is_that_of_its_folder_by_whatever_way(deployment: Deployment) -> None:
    deployment.adopted(updater=deployment.agent)
    link = deployment.aside / "link"
    link.symlink_to(deployment.folder)
    docker("compose", "--project-directory", str(link), "-f", f"{link}/docker-compose.yml", "up", "-d", "--wait")
    before = deployment.ids()
    assert "done:" in deployment.run()
    assert deployment.ids()["consumer"] == before["consumer"]


def test_a_container_that_tells_of_no_folder_is_nobody_elses(deployment: Deployment) -> None:
    labels = {"project": deployment.compose.project, "service": "theirs", "oneoff": "False"}
    words = [word for key, value in labels.items() for word in ("--label", f"com.docker.compose.{key}={value}")]
    docker("run", "-d", *words, deployment.consumer)
    sick = deployment.image("sick", env={"SICK": "1"})
    deployment.channel, channel = sick, deployment.channel
    deployment.run(first=True, code=1)
    assert len(deployment.compose.ids("theirs")) == 1
    deployment.channel = channel
    assert "done:" in deployment.first()


@pytest.mark.parametrize("name", ["2024", "on", "null"])
def test_a_project_may_be_named_as_yaml_writes_a_number_or_a_word_of_its_own(deployment: Deployment, name: str) -> None:
    deployment.compose.project = name
    try:
        assert f"done: {name} follows" in deployment.first()
        assert "nothing to change" in deployment.run()
        assert len(deployment.compose.ids()) == 3
        deployment.run("remove", "--volumes")
        assert deployment.compose.ids() == set()
    finally:
        deployment.compose.clean()
