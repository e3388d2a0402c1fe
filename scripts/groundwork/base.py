"""A base image for the agent out of Debian's packages, for machines that reach no public registry."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from groundwork.packages import must, require_debian
from groundwork.paths import HOME

PACKAGES = ["python3", "dash", "coreutils", "ca-certificates", "tzdata"]
TAG = "tidegate-base:debian"
_MERGED = ("bin", "sbin", "lib", "lib64")
_CERTIFICATES = "usr/share/ca-certificates/mozilla"


def ensure() -> str:
    """Have the base image on the engine that DOCKER_HOST names; its tag."""
    if subprocess.run(["docker", "image", "inspect", TAG], capture_output=True, check=False).returncode != 0:
        must(["docker", "import", "--change", "ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin", str(archive()), TAG])
    return TAG


def archive() -> Path:
    """The base's files as a tar archive, made once."""
    made = HOME / "base.tar"
    if made.exists():
        return made
    require_debian()
    with tempfile.TemporaryDirectory(dir=HOME) as scratch:
        root = Path(scratch) / "root"
        _unpack(_download(Path(scratch)), root)
        _finish(root)
        fresh = Path(scratch) / "base.tar"
        must(["tar", "-C", str(root), "-cf", str(fresh), "."])
        fresh.rename(made)
    return made


def _download(scratch: Path) -> list[Path]:
    """Every package that ours need, as if nothing were installed yet."""
    status = scratch / "status"
    status.touch()
    cache = scratch / "cache"
    (cache / "archives" / "partial").mkdir(parents=True)
    command = ["apt-get", "-q", "-y", "-o", f"Dir::State::status={status}", "-o", f"Dir::Cache={cache}"]
    command += [
        "-o",
        "APT::Sandbox::User=root",
        "-o",
        "Debug::NoLocking=1",
        "--no-install-recommends",
        "--download-only",
    ]
    must([*command, "install", *PACKAGES])
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
