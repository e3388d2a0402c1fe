"""Where the ground keeps its things; all of it is under one folder that git ignores."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".ground"
RUNS = HOME / "run"
APP = HOME / "app"
APP_SOURCE = ROOT / "tests" / "app"

# Debian release -> the engine version that it carries; the test matrix.
ENGINES = {"bookworm": "20.10", "trixie": "26.1"}

# Empty folders that containerd makes when it starts, wherever its data is; each after what is in it.
ENGINES_OWN = (Path("/opt/containerd/bin"), Path("/opt/containerd/lib"), Path("/opt/containerd"))


def unpacked(release: str) -> Path:
    """The folder into which a release's packages are unpacked."""
    return HOME / release


def search_path(release: str) -> str:
    """The directories with one release's engine programs, in the form of PATH."""
    own = unpacked(release)
    # runc always comes from bookworm: trixie's is linked against a newer libc.
    runc = unpacked("bookworm")
    return ":".join(str(p) for p in (own / "usr/sbin", own / "usr/bin", runc / "usr/sbin"))


class GroundError(Exception):
    """Something that a person has to put right; the text says what and how."""
