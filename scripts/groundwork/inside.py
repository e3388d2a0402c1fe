"""The first process of a private ground's namespaces: sets them up, starts everything, runs the command, ends.

When it ends the kernel kills every other process of the namespaces, and the mounts and network go with them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from groundwork import engine, registry
from groundwork.environment import variables
from groundwork.paths import ENGINES, GroundError
from groundwork.processes import exit_status, forward_to, start

if TYPE_CHECKING:
    from typing import BinaryIO

SOCKET_PATH_LIMIT = 100  # the kernel allows 107 bytes


def main(watched: int, release: str, folder: Path, command: list[str]) -> int:
    """Exit status of `command`."""
    pipe = os.fdopen(watched, "rb")
    own_pid = int(pipe.readline())  # as the machine sees it; in here it is 1
    threading.Thread(target=_end_with_runner, args=(pipe,), daemon=True).start()
    _make_private(folder)
    env = _start(release, folder)
    (folder / "ground.json").write_text(json.dumps({"init_pid": own_pid, "env": env}), encoding="utf-8")  # for `exec`
    return _run_command(command, os.environ | env)


def _end_with_runner(pipe: BinaryIO) -> None:
    """Block until the runner is gone; then go too."""
    pipe.read()
    os._exit(125)


def _make_private(folder: Path) -> None:
    """Give the namespaces their own /proc, /sys, /run, /etc/docker and /etc/hosts, and a loopback that is up."""
    run, etc = folder / "run", folder / "etc-docker"
    groups = folder / "cgroup"
    for path in (run, etc, groups, Path("/etc/docker")):
        path.mkdir(parents=True, exist_ok=True)
    hosts = folder / "hosts"
    names = f"\n127.0.0.1 localhost\n{engine.SECURE_ADDRESS} {engine.SECURE_NAME}\n"
    hosts.write_text(Path("/etc/hosts").read_text(encoding="utf-8") + names, encoding="utf-8")
    _keep_resolver_settings(run)
    for words in (
        ["-t", "proc", "proc", "/proc"],
        ["--rbind", "/sys/fs/cgroup", str(groups)],
        ["-t", "sysfs", "sysfs", "/sys"],  # a sysfs shows the network of the namespace that mounted it
        ["--move", str(groups), "/sys/fs/cgroup"],
        ["--bind", str(run), "/run"],
        ["--bind", str(etc), "/etc/docker"],
        ["--bind", str(hosts), "/etc/hosts"],
    ):
        _must("mount", *words)
    _must("ip", "link", "set", "lo", "up")
    for address in (engine.LAN_ADDRESS, engine.SECURE_ADDRESS):
        _must("ip", "address", "add", f"{address}/32", "dev", "lo")


def _keep_resolver_settings(run: Path) -> None:
    """Copy what /etc/resolv.conf leads to, where that is in the /run about to be covered."""
    real = Path("/etc/resolv.conf").resolve()
    if real.is_relative_to("/run") and real.exists():
        copy = run / real.relative_to("/run")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(real, copy)


def _must(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise GroundError(
            f"`{' '.join(command)}` failed: {done.stderr.strip()}; a private engine needs full root rights."
        )


def _start(release: str, folder: Path) -> dict[str, str]:
    """Start the engine and the registry; both answer on return. The result is the command's added environment."""
    host = f"unix://{folder}/run/docker.sock"
    if len(host) > SOCKET_PATH_LIMIT:
        host = "unix:///run/docker.sock"
    arguments = engine.command_line(release, folder)
    log = folder / "dockerd.log"
    with log.open("ab") as output:
        daemon = subprocess.Popen(
            arguments,
            env=engine.environment(release),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # a terminal's Ctrl-C is for the command, which may still need the engine
        )
    port = registry.free_port()
    registry.start(folder / "registry", f":{port}")
    engine.wait_until(lambda: engine.answers(host), daemon, log)
    found = engine.version(host)
    if found != ENGINES[release]:
        raise GroundError(
            f"{release}'s engine is {found}, not {ENGINES[release]}: change the matrix in groundwork/paths.py."
        )
    (folder / "dockerd.json").write_text(
        json.dumps({"argv": arguments, "env": engine.environment(release), "pidfile": "/run/docker.pid"}),
        encoding="utf-8",
    )
    lan = {"GROUND_REGISTRY_LAN": f"{engine.LAN_ADDRESS}:{port}", "GROUND_PRIVATE": "1"}
    return variables(host=host, engine=found, registry=f"127.0.0.1:{port}", folder=folder) | lan


def _run_command(command: list[str], env: dict[str, str]) -> int:
    """Run the command, pass signals on to it, and collect every orphan, as a first process must."""
    child = start(command, env)
    forward_to(child.pid)
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            return exit_status(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    try:
        code = main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
    except GroundError as problem:
        print(f"ground: {problem}", file=sys.stderr)
        code = 125
    sys.stdout.flush()
    os._exit(code)
