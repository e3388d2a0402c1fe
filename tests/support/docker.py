"""The docker command line, on the engine that the session's tests use."""

from __future__ import annotations

import json
import subprocess
from typing import Any


def docker(*words: str, check: bool = True, timeout_s: float = 60) -> str:
    """Run `docker WORDS...`; its standard output, stripped. AssertionError with its error output if it fails."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False, timeout=timeout_s)
    if check and done.returncode != 0:
        raise AssertionError(f"docker {' '.join(words)} failed with {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()


def inspect(container: str) -> dict[str, Any]:
    """Return the engine's document of one container, by name or ID."""
    document: dict[str, Any] = json.loads(docker("container", "inspect", container))[0]
    return document


def found(container: str) -> list[dict[str, Any]]:
    """Return the engine's document of a container that may be gone: one, or none."""
    documents: list[dict[str, Any]] = json.loads(docker("container", "inspect", container, check=False) or "[]")
    return documents


def listed(kind: str, *filters: str) -> set[str]:
    """IDs (volumes: names) of every `container`, `volume`, `image` or user-made `network` that matches."""
    words = [kind, "ls", "-q", *(w for f in filters for w in ("--filter", f))]
    if kind == "container":
        words.append("-a")
    if kind == "network":
        words += ["--filter", "type=custom"]  # the built-in ones get new IDs when the engine starts
    if kind != "volume":
        words.append("--no-trunc")
    return set(docker(*words).split())


def remove(kind: str, ids: set[str]) -> None:
    """Remove by force, at once; what is gone already is not an error."""
    if ids:
        force = ["--force", "--volumes"] if kind == "container" else ["--force"]
        docker(kind, "rm", *force, *sorted(ids), check=False)
