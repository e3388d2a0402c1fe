"""The release pipeline's steps in a checkout of the example, as people and workflows run them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.images import Pushed
from tests.support.pages import ROOT
from tests.support.registry import MANIFEST, Registry

from groundwork import base

BUILD = {"CHANNEL": "autonomy-latest", "CONTEXT": "examples/autonomy/orchestrator"}


@dataclass(frozen=True)
class Pipeline:
    """A checkout of the example, and the repository that it is published to."""

    folder: Path
    registry: Registry
    repository: str
    environ: dict[str, str]

    def run(self, text: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run lines of a shell in it."""
        command = ["bash", "-euo", "pipefail", "-c", text]
        whole = self.environ | environ
        return subprocess.run(command, cwd=self.folder, env=whole, capture_output=True, text=True, check=False)

    def play(self, text: str, **environ: str) -> str:
        """Run lines of a shell, none of which fails; what they print."""
        done = self.run(text, **environ)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def commit(self) -> str:
        """A new commit; its id."""
        author = "-c user.name=a -c user.email=a@a.test -c commit.gpgsign=false"
        self.play(f"git {author} add examples && git {author} commit -q --allow-empty -m one")
        return self.play("git rev-parse HEAD").strip()

    def digest(self, tag: str) -> str | None:
        """What a tag of the repository names."""
        status, headers, _ = self.registry.request(
            "HEAD", f"/v2/{self.repository}/manifests/{tag}", headers={"Accept": MANIFEST}
        )
        return headers["docker-content-digest"] if status == 200 else None

    def release(self, version: str) -> Pushed:
        """Build and publish a commit as the channel's newest."""
        environ = BUILD | {"REVISION": self.commit(), "VERSION": version}
        self.play('DIGEST="$(scripts/pipeline/build)" scripts/pipeline/publish', **environ)
        place = f"/v2/{self.repository}/manifests/{BUILD['CHANNEL']}"
        _, headers, manifest = self.registry.request("GET", place, headers={"Accept": MANIFEST})
        image_id = json.loads(manifest)["config"]["digest"]
        reference = f"{self.environ['IMAGE']}:{BUILD['CHANNEL']}"
        return Pushed(reference, headers["docker-content-digest"], image_id)


def checkout(folder: Path, registry: Registry, repository: str) -> Pipeline:
    """One in this folder, with the image that it builds on; buildx is a stand-in's."""
    base.ensure()
    programs, files, config = folder / "bin", folder / "checkout", folder / "docker"
    programs.mkdir(parents=True)
    shim = programs / "docker"
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m tests.support.buildx {shutil.which("docker")} "$@"\n')
    shim.chmod(0o755)
    shutil.copytree(ROOT / "examples", files / "examples")
    (files / "scripts").symlink_to(ROOT / "scripts")
    shutil.copytree(os.environ["DOCKER_CONFIG"], config, symlinks=True)
    environ = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),  # for the shim; the pipeline's own command sets another
        "DOCKER_CONFIG": str(config),
        "IMAGE": f"{registry.address}/{repository}",
        "SOURCE": "https://github.com/acme/autonomy",
        "REGISTRY_USER": registry.user,
        "REGISTRY_PASSWORD": registry.password,
        "BUILD_FLAGS": f"--build-arg BASE={base.TAG}",
        "GIT_CONFIG_GLOBAL": "/dev/null",
    }
    one = Pipeline(files, registry, repository, environ)
    one.play("git init -q -b main .")
    return one
