"""The images of the agent and of the manager from the project's own Dockerfiles, with or without a public registry."""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from groundwork import base
from groundwork.packages import is_debian, must
from groundwork.paths import HOME, ROOT, GroundError

_PIP_IN_BUILD = "python3 wheels/pip.whl/pip"


@dataclass(frozen=True)
class Recipe:
    """An image of ours: its Dockerfile below deploy/, its lock file, and the folder of its wheels."""

    dockerfile: str
    lock: str
    wheels: str


AGENT = Recipe("Dockerfile", "requirements.txt", "wheels")
MANAGER = Recipe("manager/Dockerfile", "requirements-manager.txt", "wheels-manager")


def build(tag: str, *, labels: dict[str, str] | None = None, stage_tag: str = "", of: Recipe = AGENT) -> None:
    """Build `tag` on the engine that DOCKER_HOST names.

    With `stage_tag` the first stage has a tag too, so that both can be removed without a trace.
    """
    with tempfile.TemporaryDirectory(dir=HOME) as scratch:
        context = Path(scratch)
        shutil.copytree(ROOT / "src", context / "src", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / of.lock, context)
        shutil.copytree(wheels(of), context / "wheels")
        arguments = {
            "BASE": base.ensure(),
            "PIP": _PIP_IN_BUILD,
            "PIP_FLAGS": "--no-index --find-links wheels --disable-pip-version-check --quiet",
        }
        words = [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
        command = ["docker", "build", "-q", "-f", str(ROOT / "deploy" / of.dockerfile), *words]
        if stage_tag:
            must([*command, "--target", "build", "-t", stage_tag, str(context)])
        words = [word for key, value in (labels or {}).items() for word in ("--label", f"{key}={value}")]
        must([*command, *words, "-t", tag, str(context)])


def wheels(of: Recipe = AGENT) -> Path:
    """The locked dependencies, and pip itself, as wheels; fetched once for each lock file."""
    lock = ROOT / of.lock
    made, stamp = HOME / of.wheels, HOME / of.wheels / "requirements.lock"
    if stamp.exists() and stamp.read_bytes() == lock.read_bytes():
        return made
    shutil.rmtree(made, ignore_errors=True)
    if of is AGENT:
        made.mkdir(parents=True)
        _fetch_pip(made)
    else:
        shutil.copytree(wheels(), made)  # what both need is fetched once
        stamp.unlink()
    must([*_download(made), "-r", str(lock)])
    stamp.write_bytes(lock.read_bytes())
    return made


def _fetch_pip(made: Path) -> None:
    with tempfile.TemporaryDirectory(dir=HOME) as scratch:
        locked = Path(scratch) / "pip.txt"
        locked.write_text(_pip_lines(), encoding="utf-8")
        must([*_download(Path(scratch)), "--no-deps", "-r", str(locked)])
        shutil.move(next(Path(scratch).glob("pip-*.whl")), made / "pip.whl")


def _download(folder: Path) -> list[str]:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "download", "--only-binary=:all:"]
    return [*pip, "--require-hashes", "-d", str(folder)]


def _pip_lines() -> str:
    """The lines of the development lock that pin pip."""
    lines = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("pip=="))
    stop = next((n for n in range(start + 1, len(lines)) if not lines[n].startswith(" ")), len(lines))
    return "\n".join(lines[start:stop]) + "\n"


def fetch() -> None:
    """Have everything that `build` needs from outside: a private engine's namespace reaches nothing."""
    HOME.mkdir(exist_ok=True)
    wheels()
    wheels(MANAGER)
    if is_debian():
        base.archive()


def main() -> int:
    """Fetch; the exit status."""
    try:
        fetch()
    except GroundError as error:
        print(f"ground: {error}", file=sys.stderr)
        return 125
    return 0


if __name__ == "__main__":
    sys.exit(main())
