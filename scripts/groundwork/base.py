"""The base of our images: the Dockerfile's own where it is quickly had, else one out of Debian's packages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from groundwork.packages import apt_get, must, require_debian
from groundwork.paths import HOME, ROOT

# libstdc++6 is for a library of the manager's; the base that the Dockerfiles name has it.
PACKAGES = ["python3", "dash", "coreutils", "ca-certificates", "tzdata", "libstdc++6"]
TAG = "tidegate-base:local"
_PULL_LIMIT_S = 15
_MERGED = ("bin", "sbin", "lib", "lib64")
_CERTIFICATES = "usr/share/ca-certificates/mozilla"


def ensure() -> str:
    """Have the base image on the engine that DOCKER_HOST names; its tag."""
    if not (_is_there(TAG) or _tag_default()):
        must(["docker", "import", "--change", "ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin", str(archive()), TAG])
    return TAG


def default() -> str:
    """The base that deploy/Dockerfile names."""
    named = re.search(r"^ARG BASE=(\S+)$", (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    return named[1] if named else ""


def _tag_default() -> bool:
    """Tag the default base as ours, if its Python is the one that our wheels are for and it takes seconds to have."""
    name = default()
    if not name.startswith(f"python:{sys.version_info.major}.{sys.version_info.minor}-"):
        return False
    was_there = _is_there(name)
    if not (was_there or _pull(name)):
        return False
    must(["docker", "tag", name, TAG])
    if not was_there:
        must(["docker", "image", "rm", name])  # the name only
    return True


def _pull(name: str) -> bool:
    """Pull an image, unless that takes long; a private engine reaches no registry but its own."""
    if "GROUND_PRIVATE" in os.environ:
        return False
    try:
        done = subprocess.run(["docker", "pull", "-q", name], capture_output=True, timeout=_PULL_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _is_there(name: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode == 0


def archive() -> Path:
    """The base's files as a tar archive, made once for each list of packages."""
    made, stamp, packages = HOME / "base.tar", HOME / "base.packages", " ".join(PACKAGES)
    if made.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == packages:
        return made
    require_debian()
    with tempfile.TemporaryDirectory(dir=HOME) as scratch:
        root = Path(scratch) / "root"
        _unpack(_download(Path(scratch)), root)
        _finish(root)
        fresh = Path(scratch) / "base.tar"
        must(["tar", "-C", str(root), "-cf", str(fresh), "."])
        fresh.rename(made)
        stamp.write_text(packages, encoding="utf-8")
    return made


def _download(scratch: Path) -> list[Path]:
    """Every package that ours need, as if nothing were installed yet."""
    status = scratch / "status"
    status.touch()
    cache = scratch / "cache"
    (cache / "archives" / "partial").mkdir(parents=True)
    settings = [f"Dir::State::status={status}", f"Dir::Cache={cache}", "Debug::NoLocking=1"]
    options = [word for setting in settings for word in ("-o", setting)]
    apt_get([*options, "install", "-y", "--no-install-recommends", "--download-only", *PACKAGES])
    return sorted((cache / "archives").glob("*.deb"))


def _unpack(debs: list[Path], root: Path) -> None:
    """Unpack over the directories that Debian merges into /usr."""
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    for deb in debs:
        files = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(deb)], capture_output=True, check=True).stdout
        command = ["tar", "-C", str(root), "--keep-directory-symlink", "-x"]
        subprocess.run(command, input=files, check=True)


def _finish(root: Path) -> None:
    """What the packages' own scripts would do: sh, and one file with all certificates."""
    shell = root / "usr/bin/sh"
    if not shell.exists():
        shell.symlink_to("dash")
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_text("".join(cert.read_text() for cert in sorted((root / _CERTIFICATES).glob("*.crt"))))
    for name in ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info"):
        must(["rm", "-rf", str(root / name)])
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "root").mkdir(exist_ok=True)
