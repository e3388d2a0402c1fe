"""A Compose project of one test, run by the real `docker compose`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support import strangers
from tests.support.docker import docker, found, listed, remove

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"


class Compose:
    """Runs `docker compose` on one file with one project name; `clean()` takes everything away."""

    def __init__(self, folder: Path, project: str) -> None:
        self.folder = folder
        self.project = project
        self.file = folder / "compose.yaml"

    def write(self, document: Mapping[str, Any] | str) -> None:
        """Write the Compose file: YAML text, or a document (`{"services": {...}}`)."""
        text = document if isinstance(document, str) else json.dumps(document, indent=1)
        self.file.write_text(text, encoding="utf-8")

    def run(
        self, *words: str, check: bool = True, timeout_s: float = 120, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `docker compose WORDS...`. AssertionError with its output if it fails, unless `check` is False."""
        command = ["docker", "compose", "-p", self.project, "-f", str(self.file), *words]
        done = subprocess.run(
            command, cwd=self.folder, env=env, capture_output=True, text=True, check=False, timeout=timeout_s
        )
        if check and done.returncode != 0:
            raise AssertionError(f"docker compose {' '.join(words)} failed: {done.stdout}{done.stderr}")
        return done

    def up(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`up -d WORDS...`; what it did is in `.stderr`, a line an action."""
        return self.run("up", "-d", *words, check=check)

    def down(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`down WORDS...`."""
        return self.run("down", *words)

    def ps(self) -> list[dict[str, Any]]:
        """`ps -a`, as documents with Service, Name, State, Health, Image..."""
        lines = self.run("ps", "-a", "--format", "json").stdout.splitlines()
        return [json.loads(line) for line in lines if line.strip()]

    def changes(self) -> list[str]:
        """Run `up -d` once more: the lines that tell of something done, none when everything is as it is to be."""
        lines = (line.strip() for line in self.up().stderr.splitlines())
        return [line for line in lines if line and line.split()[-1] not in {"Running", "Waiting", "Healthy"}]

    def ids(self, service: str = "") -> set[str]:
        """IDs of the project's (or one service's) containers, running or not, as their labels tell."""
        narrower = [f"label={SERVICE}={service}"] if service else []
        return listed("container", f"label={PROJECT}={self.project}", *narrower)

    def containers(self, service: str) -> list[dict[str, Any]]:
        """The engine's documents of a service's containers; one that goes away meanwhile is left out."""
        return [document for one in sorted(self.ids(service)) for document in found(one)]

    def container(self, service: str) -> dict[str, Any]:
        """The engine's document of a service's only container."""
        here = self.containers(service)
        assert len(here) == 1, f"{service} has {len(here)} containers, expected one: {[c['Name'] for c in here]}"
        return here[0]

    def address(self, service: str, port: int = 8000) -> str:
        """`HOST:PORT` at which a published port of a service answers."""
        published = self.run("port", service, str(port)).stdout.strip()
        return published.replace("0.0.0.0:", "127.0.0.1:").splitlines()[0]

    def clean(self) -> None:
        """Remove the project at once, whatever state it is in."""
        label = f"label={PROJECT}={self.project}"
        for kind in ("container", "network", "volume"):
            remove(kind, listed(kind, label))
        strangers.remove_private_networks()

    def logs(self, service: str) -> str:
        """Everything that a service's containers have printed."""
        return "".join(docker("logs", one) for one in sorted(self.ids(service)))
