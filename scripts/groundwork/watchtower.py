"""The real Watchtower, built from its module by the Go of this machine: its releases, images, are not had here.

`python3 -m groundwork.watchtower STAMP` builds it, and makes the file STAMP if it is there then. tests/peers/watchtower
pins the module and the hashes of all it needs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from groundwork.paths import HOME, ROOT, GroundError

MODULE = "github.com/containrrr/watchtower"
FORK = "github.com/nicholas-fedor/watchtower"
PINNED = ROOT / "tests" / "peers" / "watchtower"
_BUILD_S = 900


def version() -> str:
    """The release that is pinned, such as `v1.7.1`."""
    words = (PINNED / "go.mod").read_text(encoding="utf-8").split()
    return words[words.index(MODULE) + 1]


def program() -> Path:
    """The program. Raises `GroundError` where it was not built."""
    made = HOME / "watchtower" / version() / "watchtower"
    if not made.exists():
        raise GroundError("Watchtower was not built: `make .ground/watchtower.ready` does it where there is a Go")
    return made


def build() -> None:
    """Build it, unless that was done. Raises `GroundError`."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    made = HOME / "watchtower" / version() / "watchtower"
    if made.exists():
        return
    if go is None:
        raise GroundError("there is no Go here, which Watchtower is built by")
    made.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME) as scratch:
        for name in ("go.mod", "go.sum"):
            shutil.copy(PINNED / name, scratch)
        named = f"-X {MODULE}/internal/meta.Version={version()}"
        command = [
            go,
            "build",
            "-mod=mod",
            "-buildvcs=false",
            "-trimpath",
            "-ldflags",
            named,
            "-o",
            "watchtower",
            MODULE,
        ]
        environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
        done = subprocess.run(command, cwd=scratch, env=environment, timeout=_BUILD_S, check=False)
        if done.returncode:
            raise GroundError(f"Watchtower {version()} could not be built; what Go says of it is above")
        shutil.move(Path(scratch) / "watchtower", made)


def main(arguments: Sequence[str]) -> None:
    """Build it and make the stamp, or say why that cannot be; and what is left out."""
    sys.stderr.write(f"{FORK} is left out: no hash of it is pinned, since the module proxies asked do not have it.\n")
    try:
        build()
    except GroundError as error:
        sys.stderr.write(f"{error}: the tests of tests/peers that need it are left out.\n")
        if os.environ.get("CI") == "true":
            sys.exit(1)
        return
    for stamp in arguments:
        Path(stamp).touch()


if __name__ == "__main__":
    main(sys.argv[1:])
