"""The engine that tests talk to, images made for them without a registry, and docker as a person runs it."""

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

GROUND = Path(os.environ.get("TIDEGATE_GROUND_HOME", Path(__file__).parents[2] / ".ground"))
_BUSYBOX = (GROUND / "bookworm/bin/busybox", GROUND / "trixie/bin/busybox", Path("/bin/busybox"))
FOREVER = "trap 'exit 0' TERM; while :; do sleep 0.1; done"


def docker_host() -> str:
    """The test engine's address. Skips where there is none; under CI that is a failure."""
    if os.environ.get("TIDEGATE_TEST_ENGINE"):
        return os.environ["DOCKER_HOST"]
    reason = "no test engine: run under `scripts/ground.py run -- ...`"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def unique(prefix: str) -> str:
    """A name nobody else uses."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def docker(*words: str, stdin: str | None = None) -> str:
    """Run the docker command against the test engine; what it wrote, or a failed test."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False, input=stdin)
    assert done.returncode == 0, f"docker {' '.join(words)}: {done.stderr}"
    return done.stdout.strip()


def inspect(name: str, kind: str = "container") -> dict[str, Any]:
    """What `docker inspect` says."""
    found: dict[str, Any] = json.loads(docker("inspect", "--type", kind, name))[0]
    return found


def build(reference: str, folder: Path, lines: Iterable[str] = ()) -> str:
    """Build an image FROM scratch with busybox and these Dockerfile lines; its id."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(next(path for path in _BUSYBOX if path.exists()), folder / "busybox")
    links = "mkdir -p /tmp /etc && /bin/busybox --install -s /bin"
    dockerfile = ["FROM scratch", "COPY busybox /bin/busybox", "ENV PATH=/bin"]
    dockerfile += [f'RUN ["/bin/busybox", "sh", "-c", "/bin/busybox {links}"]']
    (folder / "Dockerfile").write_text("\n".join([*dockerfile, *lines]) + "\n")
    return docker("build", "-q", "-t", reference, str(folder)).rpartition("\n")[2]
