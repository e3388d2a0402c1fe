"""The pipeline's steps as docs/pipeline.md has them: the example's orchestrator is built, pushed and published."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.docker import docker, inspect
from tests.support.pages import ROOT, blocks
from tests.support.registry import MANIFEST, Registry
from tests.support.waiting import wait_for

from groundwork import base

BY_HAND, AGAIN, BACK = (block.text for block in blocks("sh") if block.page == "pipeline.md")
LOGIN_AND_BUILD = "scripts/pipeline/login >/dev/null && scripts/pipeline/build"
BUILD = {"CHANNEL": "autonomy-latest", "CONTEXT": "examples/autonomy/orchestrator"}
pytestmark = pytest.mark.timeout(400)


@dataclass(frozen=True)
class Pipeline:
    """A checkout of the example, and the repository that it is published to."""

    folder: Path
    registry: Registry
    repository: str
    environ: dict[str, str]

    def run(self, text: str, **environ: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", "-euo", "pipefail", "-c", text]
        whole = self.environ | environ
        return subprocess.run(command, cwd=self.folder, env=whole, capture_output=True, text=True, check=False)

    def play(self, text: str, **environ: str) -> str:
        done = self.run(text, **environ)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def commit(self) -> str:
        """A new commit; its id."""
        author = "-c user.name=a -c user.email=a@a.test -c commit.gpgsign=false"
        self.play(f"git {author} add examples && git {author} commit -q --allow-empty -m one")
        return self.play("git rev-parse HEAD").strip()

    def digest(self, tag: str) -> str | None:
        status, headers, _ = self.registry.request(
            "HEAD", f"/v2/{self.repository}/manifests/{tag}", headers={"Accept": MANIFEST}
        )
        return headers["docker-content-digest"] if status == 200 else None


@pytest.fixture
def pipeline(password_registry: Registry, repository: str, tmp_path: Path) -> Pipeline:
    base.ensure()
    programs, folder = tmp_path / "bin", tmp_path / "checkout"
    programs.mkdir()
    shim = programs / "docker"
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m tests.support.buildx {shutil.which("docker")} "$@"\n')
    shim.chmod(0o755)
    shutil.copytree(ROOT / "examples", folder / "examples")
    (folder / "scripts").symlink_to(ROOT / "scripts")
    config = tmp_path / "docker"
    shutil.copytree(os.environ["DOCKER_CONFIG"], config, symlinks=True)
    environ = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),  # for the shim; the pipeline's own command sets another
        "DOCKER_CONFIG": str(config),
        "IMAGE": f"{password_registry.address}/{repository}",
        "SOURCE": "https://github.com/acme/autonomy",
        "REGISTRY_USER": password_registry.user,
        "REGISTRY_PASSWORD": password_registry.password,
        "BUILD_FLAGS": f"--build-arg BASE={base.TAG}",
        "GIT_CONFIG_GLOBAL": "/dev/null",
    }
    one = Pipeline(folder, password_registry, repository, environ)
    one.play("git init -q -b main .")
    return one


def told(output: str) -> dict[str, str]:
    """What became of each tag, by the JSON at the end."""
    document = json.loads(output[output.rindex("\n{\n") :])
    return {one["tag"]: one["what"] for one in document["tags"]}


def test_the_commands_by_hand_make_a_release_and_repeated_they_build_nothing(pipeline: Pipeline) -> None:
    first = pipeline.commit()
    assert told(pipeline.play(BY_HAND)) == {f"autonomy-{first}": "set", "autonomy-latest": "set"}
    digest = pipeline.digest("autonomy-latest")
    assert digest == pipeline.digest(f"autonomy-{first}")
    again = pipeline.run(BY_HAND)
    assert (again.returncode, "is not built again" in again.stderr) == (0, True)
    environ = {"CHANNEL": "autonomy-latest", "REVISION": first}
    assert told("\n" + pipeline.play(AGAIN, **environ)) == {f"autonomy-{first}": "kept", "autonomy-latest": "kept"}

    second = pipeline.commit()
    assert told(pipeline.play(BY_HAND, SOURCE_DATE_EPOCH="4102444800")) == {
        f"autonomy-{second}": "set",
        "autonomy-latest": "moved",
    }
    assert pipeline.run(AGAIN, **environ).returncode == 3
    pipeline.play(BACK, **environ)
    assert pipeline.digest("autonomy-latest") == digest


def test_what_is_built_serves_and_says_what_it_is(pipeline: Pipeline) -> None:
    revision = pipeline.commit()
    output = pipeline.run(LOGIN_AND_BUILD, **BUILD | {"REVISION": revision})
    assert output.returncode == 0, output.stderr
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", output.stdout)
    image = f"{pipeline.environ['IMAGE']}@{output.stdout.strip()}"
    pipeline.play(f"docker pull -q {image}")
    container = docker("run", "-d", "--label", "tidegate.enable=false", image)
    try:
        wait_for(lambda: inspect(container)["State"]["Health"]["Status"] == "healthy", "it is healthy")
        labels = inspect(container)["Config"]["Labels"]
        assert labels["org.opencontainers.image.revision"] == revision
        assert f"version {revision[:7]} serves" in docker("logs", container)
        docker("stop", container)
        assert inspect(container)["State"]["ExitCode"] == 0
    finally:
        docker("rm", "-f", "-v", container)
        docker("image", "rm", "-f", image)


def test_a_build_that_fails_pushes_nothing_and_prints_no_digest(pipeline: Pipeline, tmp_path: Path) -> None:
    environ = BUILD | {"REVISION": pipeline.commit(), "GITHUB_OUTPUT": str(tmp_path / "output")}
    done = pipeline.run(LOGIN_AND_BUILD, **environ | {"CONTEXT": "examples"})
    assert (done.returncode != 0, done.stdout, (tmp_path / "output").exists()) == (True, "", False)
    assert pipeline.digest("built") is None


def test_a_wrong_password_is_refused_and_not_shown(pipeline: Pipeline) -> None:
    done = pipeline.run("scripts/pipeline/login", REGISTRY_PASSWORD="hunter2")
    assert (done.returncode != 0, "hunter2" in done.stdout + done.stderr) == (True, False)


def test_what_comes_after_has_the_digest_and_whether_it_was_built_or_found(pipeline: Pipeline, tmp_path: Path) -> None:
    output = tmp_path / "output"
    environ = BUILD | {"REVISION": pipeline.commit(), "GITHUB_OUTPUT": str(output)}
    digest = pipeline.play(LOGIN_AND_BUILD, **environ)
    assert output.read_text(encoding="utf-8") == f"digest={digest}built=true\n"
    output.unlink()
    pipeline.play("scripts/pipeline/publish", DIGEST=digest.strip(), **environ)
    assert pipeline.play(LOGIN_AND_BUILD, **environ) == digest
    assert output.read_text(encoding="utf-8") == f"digest={digest}built=false\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("git -c user.name=a -c user.email=a@a.test commit -q --allow-empty -m two", "and what is checked out here is"),
        ("echo >>examples/autonomy/orchestrator/Dockerfile", "Dockerfile"),
        ("echo >examples/autonomy/orchestrator/more", "orchestrator/more"),
    ],
)
def test_what_is_not_the_commit_is_not_built_under_its_name(pipeline: Pipeline, change: str, said: str) -> None:
    environ = BUILD | {"REVISION": pipeline.commit()}
    pipeline.play(change)
    done = pipeline.run(LOGIN_AND_BUILD, **environ)
    assert (done.returncode, done.stdout) == (1, "")
    assert ("nothing was built" in done.stderr, said in done.stderr) == (True, True), done.stderr
    assert pipeline.digest("built") is None
