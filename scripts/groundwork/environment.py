"""The variables that a command on the ground finds."""

from __future__ import annotations

import os
from pathlib import Path

from groundwork.paths import HOME, unpacked

COMPOSE_PLACES = (
    unpacked("trixie") / "usr/libexec/docker/cli-plugins",
    Path.home() / ".docker/cli-plugins",
    Path("/usr/local/libexec/docker/cli-plugins"),
    Path("/usr/local/lib/docker/cli-plugins"),
    Path("/usr/libexec/docker/cli-plugins"),
    Path("/usr/lib/docker/cli-plugins"),
)


def variables(*, host: str, engine: str, registry: str, folder: Path) -> dict[str, str]:
    """DOCKER_HOST, DOCKER_CONFIG, PATH, and GROUND_* for the tests, the demo and the benchmarks.

    Not TIDEGATE_*: those are the agent's settings, and it tells of any that it does not know.
    """
    return {
        "DOCKER_HOST": host,
        "DOCKER_CONFIG": str(_docker_config(folder / "docker-config")),
        "DOCKER_BUILDKIT": "0",  # the builder that both engines have without a plugin
        "GROUND_ENGINE": engine,
        "GROUND_REGISTRY": registry,
        "GROUND_FOLDER": str(folder),
        "GROUND_HOME": str(HOME),
        "PATH": f"{unpacked('trixie') / 'usr/bin'}:{unpacked('cosign') / 'usr/bin'}:{os.environ['PATH']}",
    }


def _docker_config(folder: Path) -> Path:
    """Make a private Docker configuration that has the Compose plugin and nothing else."""
    plugins = folder / "cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}\n", encoding="utf-8")
    found = next((p / "docker-compose" for p in COMPOSE_PLACES if (p / "docker-compose").exists()), None)
    if found:
        (plugins / "docker-compose").symlink_to(found)
    return folder
