"""The deployment script on a folder and a Compose project of one test, with small images in place of the real ones."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.images import build
from tests.support.pages import ROOT
from tests.support.registry import Registry
from tests.support.waiting import status, wait_for

SCRIPT = ROOT / "scripts" / "orchestrator_cluster_autoupdate.sh"
EXAMPLE = ROOT / "examples" / "autonomy"
UPDATER, WATCHTOWER = "watchtower_orchestrator", "docker-compose.watchtower.yml"
KEPT = (
    "docker-compose.yml",
    WATCHTOWER,
    "docker-compose.watchtower-managed.yml",
    "docker-compose.deployment.yml",
    ".env",
    "enrol-token",
    "watchtower-token",
)
OVERRIDE = """services:
  watchtower:
    image: ${WATCHTOWER_IMAGE}
    command: --label-enable --scope autonomy-cluster
    secrets: [watchtower-token]
secrets:
  watchtower-token:
    file: ./watchtower-token
"""
TOKEN = "enrol-me-once-4711"
SETTLED = {"TIDEGATE_DEPLOY_SETTLE": "2"}  # seconds: what these updaters do they do at once
_QUIET = ("exec_", "health_status")


class Deployment:
    """A cluster of the script: `run()` calls it as a person would, with what this test's images need in its flags."""

    def __init__(self, folder: Path, compose: Compose, registry: Registry, name: str) -> None:
        self.folder = folder / "cluster"
        self.compose = compose
        self.template = folder / "template"
        self.aside = folder / "aside"  # shims and the like
        self.aside.mkdir()
        self._registry = registry
        self._name = name
        shutil.copytree(EXAMPLE, self.template)
        (self.template / WATCHTOWER).write_text(OVERRIDE, encoding="utf-8")
        endless: dict[str, Any] = {
            "Entrypoint": ["/bin/sh", "-c", "exec sleep 1000000"],
            "Cmd": [],
            "StopSignal": "SIGKILL",
        }
        updaters = [build(registry, f"{name}/{one}:latest", version=one, **endless) for one in ("agent", "watchtower")]
        self.agent, self.watchtower = (one.reference for one in updaters)
        self.consumer = self.image("consumer")
        self.channel = self.image("autonomy-latest")

    def image(self, tag: str, **options: Any) -> str:
        """An orchestrator's image under a tag of its own."""
        return build(self._registry, f"{self._name}/orchestrator:{tag}", version=tag, **options).reference

    @property
    def flags(self) -> list[str]:
        """What a first run is told."""
        named = {"dir": self.folder, "from": self.template, "project": self.compose.project, "channel": self.channel}
        named |= {"agent-image": self.agent, "deadline": 60}
        lines = {"CONSUMER_IMAGE": self.consumer, "WATCHTOWER_IMAGE": self.watchtower, "BAKE": "1s"}
        words = [word for key, value in named.items() for word in (f"--{key}", str(value))]
        return [*words, *(word for key, value in lines.items() for word in ("--set", f"{key}={value}"))]

    def run(
        self, *words: str, first: bool = False, code: int = 0, trace: bool = False, env: Mapping[str, str] | None = None
    ) -> str:
        """Run `SCRIPT WORDS...`; all that it printed. AssertionError if it ends with another code than this."""
        flags = self.flags if first else ["--dir", str(self.folder)]
        command = [*(["bash", "-x"] if trace else []), str(SCRIPT), *words, *flags]
        environ = {**os.environ, **SETTLED, **(env or {})}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=170)
        printed = done.stdout + done.stderr
        assert done.returncode == code, f"{shlex.join(words)} ended with {done.returncode}, not {code}: {printed}"
        return printed

    def first(self, *words: str) -> str:
        """The first run."""
        return self.run(*words, first=True)

    def files(self) -> dict[str, str]:
        """What the folder has of what the script writes."""
        found = {name: self.folder / name for name in KEPT}
        return {name: path.read_text(encoding="utf-8") for name, path in found.items() if path.exists()}

    def everything(self) -> dict[str, tuple[int, int]]:
        """Every file in the folder, however deep: size and time of change in nanoseconds."""
        found = [path for path in self.folder.rglob("*") if path.is_file() and ".git" not in path.parts]
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}

    def env(self) -> dict[str, str]:
        """The lines of .env."""
        lines = (self.folder / ".env").read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    def ids(self, *more: str) -> dict[str, str]:
        """Service -> the id of its container; of `more` services, too."""
        names = ("orchestrator", "consumer", "watchtower", *more)
        return {name: self.compose.container(name)["Id"] for name in names}

    def image_of(self, service: str) -> str:
        """The reference that a service's container was made with."""
        return str(self.compose.container(service)["Config"]["Image"])

    def checkpoints(self) -> list[str]:
        """What `list` has."""
        return self.run("list").splitlines()

    def done_since(self, began: float) -> list[str]:
        """What the engine did to the project's containers since then: "ACTION SERVICE", without health checks."""
        label = f"label=com.docker.compose.project={self.compose.project}"
        words = ["--since", f"{began:.9f}", "--until", f"{time.time():.9f}", "--filter", label]
        lines = docker("events", "--filter", "type=container", *words, "--format", "{{json .}}").splitlines()
        events = [json.loads(line) for line in lines]
        told = [(e["Action"], e["Actor"]["Attributes"]["com.docker.compose.service"]) for e in events]
        return [f"{action} {service}" for action, service in told if not action.startswith(_QUIET)]

    def until(self, program: str, words: str, name: str = "TERM", *, instead: bool = False) -> dict[str, str]:
        """Have the next run get a signal when it calls PROGRAM with arguments that end with `words`; its environment.

        The call is made nevertheless, unless `instead`.
        """
        real, number = shutil.which(program), int(signal.Signals[f"SIG{name}"])
        pid, done, shim = self.aside / "pid", self.aside / "done", self.aside / program
        for old in (pid, done):
            old.unlink(missing_ok=True)
        lines = [
            "#!/bin/sh",
            f'case "$*" in *{shlex.quote(words)}) if [ ! -e {done} ]; then',
            f"touch {done}; kill -{number} $(cat {pid}); {'exit 0' if instead else ':'}",
            "fi ;; esac",
            f'exec {real} "$@"',
        ]
        shim.write_text("\n".join(lines) + "\n", encoding="utf-8")
        shim.chmod(0o755)
        return {**os.environ, **SETTLED, "PATH": f"{self.aside}:{os.environ['PATH']}"}

    def failing(self, program: str, words: str) -> dict[str, str]:
        """The environment of a run in which PROGRAM fails where its arguments match this pattern of the shell."""
        shim = self.aside / program
        shim.write_text(
            f'#!/bin/sh\ncase "$*" in {words}) printf part; exit 1 ;; esac\nexec {shutil.which(program)} "$@"\n',
            encoding="utf-8",
        )
        shim.chmod(0o755)
        return {"PATH": f"{self.aside}:{os.environ['PATH']}"}

    def recording(self, program: str) -> tuple[dict[str, str], Path]:
        """The environment of a run in which PROGRAM's calls are written down, a line each; and where."""
        shim, calls = self.aside / program, self.aside / "calls"
        shim.write_text(f'#!/bin/sh\necho "$*" >>{calls}\nexec {shutil.which(program)} "$@"\n', encoding="utf-8")
        shim.chmod(0o755)
        return {"PATH": f"{self.aside}:{os.environ['PATH']}"}, calls

    def answering(self, program: str, words: str, answer: str) -> dict[str, str]:
        """The environment of a run in which PROGRAM says this where its arguments match this pattern of the shell."""
        shim, real, pattern = self.aside / program, shutil.which(program), words.replace(" ", "\\ ")
        text = f'#!/bin/sh\ncase "$*" in {pattern}) echo {shlex.quote(answer)}; exit ;; esac\nexec {real} "$@"\n'
        shim.write_text(text, encoding="utf-8")
        shim.chmod(0o755)
        return {"PATH": f"{self.aside}:{os.environ['PATH']}"}

    def adopted(self, **changes: str) -> str:
        """Put the example's Compose file, with these texts (by a name below) in it, where somebody had made a cluster.

        Its images, but the consumer's, are literal: nothing of the script is in it. What the file says.
        """
        places = {
            "orchestrator": "${ORCHESTRATOR_IMAGE:-ghcr.io/acme/orchestrator:autonomy-latest}",
            "updater": "${TIDEGATE_IMAGE:-ghcr.io/tidegate/agent:latest}",
            "enable": '      - "com.centurylinklabs.watchtower.enable=true"\n',
            "consumer": '    command: ["ask", "orchestrator", "8000"]\n',
            "command": "    command: --label-enable --scope autonomy-cluster\n",
            "interval": "      - WATCHTOWER_INTERVAL=${WATCHTOWER_INTERVAL:-300}\n",
        }
        text = (EXAMPLE / "docker-compose.yml").read_text(encoding="utf-8")
        for name, new in {"orchestrator": self.channel, "updater": self.watchtower, **changes}.items():
            assert text.count(places[name]) == 1
            text = text.replace(places[name], new)
        self.folder.mkdir(exist_ok=True)
        (self.folder / "docker-compose.yml").write_text(text, encoding="utf-8")
        lines = {"COMPOSE_PROJECT_NAME": self.compose.project, "CONSUMER_IMAGE": self.consumer, "BAKE": "1s"}
        (self.folder / ".env").write_text("".join(f"{key}={value}\n" for key, value in lines.items()), encoding="utf-8")
        return text

    def struck(self, *words: str, env: Mapping[str, str]) -> tuple[int, str]:
        """A run that gets the signal of `until`: its exit status (negative: killed) and what it printed."""
        run = self.begin(*words, env=env)
        told, _ = run.communicate(timeout=170)
        assert (self.aside / "done").exists(), f"the signal was never sent: {told}"
        return run.returncode, told

    def begin(self, *words: str, env: Mapping[str, str]) -> subprocess.Popen[str]:
        """A run that is not waited for."""
        line = f'echo $$ > {self.aside / "pid"}; exec "$@"'
        command = ["sh", "-c", line, "sh", str(SCRIPT), *words, "--dir", str(self.folder)]
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def let_go(self) -> None:
        """Wait until what a killed run has left at work is done."""
        with (self.folder / ".tidegate" / "lock").open() as lock:

            def free() -> bool:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
                return True

            wait_for(free, "the lock is let go", limit_s=120)

    def manager(self) -> str:
        """Have the application answer as a manager's health check does, and return its address."""
        name = f"{self.compose.project}-manager"
        docker("run", "-d", "--name", name, "-p", "8000", self.consumer)
        port = docker("port", name, "8000").splitlines()[0].rsplit(":", 1)[1]
        address = f"{os.environ['GROUND_REGISTRY_LAN'].split(':')[0]}:{port}"
        wait_for(lambda: status(address, "/healthz") == HTTPStatus.OK, "it answers")
        return f"http://{address}"

    def git(self, *words: str) -> str:
        """Run git in the folder."""
        who = ["-c", "user.name=ann", "-c", "user.email=ann@example.com"]
        command = ["git", "-C", str(self.folder), *who, *words]
        return subprocess.run(command, capture_output=True, text=True, errors="replace", check=True).stdout
