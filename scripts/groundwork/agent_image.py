"""The agent's image from the project's own Dockerfile, with or without a public registry."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from groundwork import base
from groundwork.packages import is_debian, must
from groundwork.paths import HOME, ROOT, GroundError

_PIP_IN_BUILD = "python3 wheels/pip.whl/pip"


def build(tag: str, *, labels: dict[str, str] | None = None, stage_tag: str = "") -> None:
    """Build `tag` on the engine that DOCKER_HOST names.

    With `stage_tag` the first stage has a tag too, so that both can be removed without a trace.
    """
    with tempfile.TemporaryDirectory(dir=HOME) as scratch:
        context = Path(scratch)
        shutil.copytree(ROOT / "src", context / "src", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "requirements.txt", context)
        shutil.copytree(wheels(), context / "wheels")
        arguments = {
            "BASE": base.ensure(),
            "PIP": _PIP_IN_BUILD,
            "PIP_FLAGS": "--no-index --find-links wheels --disable-pip-version-check --quiet",
        }
        words = [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
        command = ["docker", "build", "-q", "-f", str(ROOT / "deploy" / "Dockerfile"), *words]
        if stage_tag:
            must([*command, "--target", "build", "-t", stage_tag, str(context)])
        words = [word for key, value in (labels or {}).items() for word in ("--label", f"{key}={value}")]
        must([*command, *words, "-t", tag, str(context)])


def wheels() -> Path:
    """The locked dependencies, and pip itself, as wheels; fetched once for each lock file."""
    lock = ROOT / "requirements.txt"
    made, stamp = HOME / "wheels", HOME / "wheels" / "requirements.lock"
    if stamp.exists() and stamp.read_bytes() == lock.read_bytes():
        return made
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "download", "--only-binary=:all:"]
    must([*pip, "--require-hashes", "-r", str(lock), "-d", str(made)])
    with tempfile.TemporaryDirectory(dir=HOME) as scratch:
        locked = Path(scratch) / "pip.txt"
        locked.write_text(_pip_lines(), encoding="utf-8")
        must([*pip, "--require-hashes", "--no-deps", "-r", str(locked), "-d", scratch])
        shutil.move(next(Path(scratch).glob("pip-*.whl")), made / "pip.whl")
    stamp.write_bytes(lock.read_bytes())
    return made


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
