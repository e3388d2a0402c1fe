"""Run a command with an engine and a registry, and leave nothing behind.

A private engine lives in network, mount and process namespaces of its own, together with the registry and the
command: engines side by side share no port, bridge, firewall rule or mount, and when the first process of the
namespaces ends the kernel ends all the others.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import secrets
import shutil
import subprocess
from pathlib import Path

from groundwork import existing, packages
from groundwork.paths import ENGINES_OWN, RUNS, GroundError
from groundwork.processes import exit_status, forward_to, spawn

CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
DEFAULT_RELEASE = "bookworm"
OUTSIDE = "machine-network"  # file in a ground's folder on which the machine's network namespace is mounted


def run(release: str | None, folder: Path | None, command: list[str], *, keep: bool) -> int:
    """Exit status of `command`, run with an engine (128 + N when signal N ended it)."""
    if release is None and (host := existing.answering_host()):
        packages.install_for_existing_engine()
        return existing.run(host, _fresh(folder), command)
    packages.require_debian()
    if os.geteuid() != 0 and release:
        raise GroundError("Only root can start a private engine: run this as root, or use your own without --engine.")
    if os.geteuid() != 0:
        raise GroundError(
            "No Docker engine answers at DOCKER_HOST or /var/run/docker.sock, and only root can start one: "
            "start Docker (and join its group), or run this as root on Debian."
        )
    release = release or DEFAULT_RELEASE
    packages.install([release])
    return _run_private(release, _fresh(folder), command, keep=keep)


def join(folder: Path, command: list[str]) -> int:
    """Exit status of `command`, run inside the private ground at `folder`, with its environment."""
    try:
        up = json.loads((folder / "ground.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GroundError(f"{folder}: no private ground is up there.") from None
    enter = ["nsenter", "-t", str(up["init_pid"]), "-n", "-m", "-p", f"--wd={Path.cwd()}"]
    return subprocess.run([*enter, *command], env=os.environ | up["env"], check=False).returncode


def outside(command: list[str]) -> int:
    """Exit status of `command`, run with the machine's network: a private ground reaches nothing but itself."""
    folder = os.environ.get("GROUND_FOLDER", "")
    private = "GROUND_PRIVATE" in os.environ
    enter = ["nsenter", f"--net={Path(folder) / OUTSIDE}"] if private else []
    return subprocess.run([*enter, *command], check=False).returncode


def _fresh(folder: Path | None) -> Path:
    """Make the folder of a run; what a run that was killed left in it is removed."""
    folder = (folder or RUNS / secrets.token_hex(4)).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / ".ground"
    if any(folder.iterdir()) and not marker.exists():
        raise GroundError(f"{folder}: has files that are not a ground's; name another folder with --dir.")
    lock = os.open(marker, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held until this process ends
    except BlockingIOError:
        raise GroundError(f"{folder}: a ground is up there; use `exec --dir`, or name another folder.") from None
    for old in folder.iterdir():
        if old != marker:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    return folder


def _run_private(release: str, folder: Path, command: list[str], *, keep: bool) -> int:
    # Each of the two children holds the read end of a pipe. It closes when this process is gone, for whatever
    # reason, and then they end what is left.
    what = [str(folder), "keep" if keep else "delete", *(str(place) for place in ENGINES_OWN if not place.exists())]
    janitor, to_janitor = spawn("groundwork.janitor", what, own_session=True)
    _unshare(CLONE_NEWNS)
    _keep_a_way_out(folder)
    _unshare(CLONE_NEWPID | CLONE_NEWNET)
    inside, to_inside = spawn("groundwork.inside", [release, str(folder), *command])
    forward_to(inside.pid)
    for pipe in (to_janitor, to_inside):
        os.write(pipe, f"{inside.pid}\n".encode())
    status = inside.wait()
    os.close(to_janitor)
    janitor.wait()
    return exit_status(status)


def _unshare(kinds: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(kinds) != 0:
        raise GroundError(f"This system allows no private namespaces: {os.strerror(ctypes.get_errno())}.")


def _keep_a_way_out(folder: Path) -> None:
    """Keep the machine's network reachable, for `outside`."""
    door = folder / OUTSIDE
    door.touch()
    for words in (["--make-rprivate", "/"], ["--bind", "/proc/self/ns/net", str(door)]):
        packages.must(["mount", *words])
