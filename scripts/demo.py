"""The demo: a cluster that updates itself, proves it, and puts itself back. Run it with `make demo`.

It needs an engine and a registry, which `scripts/ground.py run` provides; with --clean only the engine that answers.
With --and-fleet the demo of a fleet follows.
Exits with 1 if anything was not as said.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from tests.support.images import Pushed, build  # noqa: E402 - the path comes first
from tests.support.registry import Registry  # noqa: E402 - the same

import demo_kept  # noqa: E402 - the path comes first
import demo_things as things  # noqa: E402 - the same
from groundwork import agent_image, existing  # noqa: E402 - the same
from groundwork.paths import GroundError, unpacked  # noqa: E402 - the same

CHANNEL = "autonomy/orchestrator:autonomy-latest"
EXAMPLE = ROOT / "examples" / "autonomy" / "docker-compose.yml"
STEP_LIMIT_S = 45.0


class DemoError(Exception):
    """Something was not as the demo said."""


@dataclass(frozen=True)
class Row:
    """One line of the closing table."""

    release: str
    verdict: str
    seconds: float | None
    failed: int


@dataclass(frozen=True)
class Counts:
    """What the consumer has seen so far; `versions` are all that answered, in their order, without repeats."""

    sent: int = 0
    failed: int = 0
    versions: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """The one that answered last."""
        return self.versions[-1] if self.versions else ""


@dataclass(frozen=True)
class Played:
    """What the table tells: each release, and what became of every request from the first to the last."""

    rows: list[Row]
    total: Counts


class Cluster:
    """The example's Compose project on the demo's engine."""

    project = things.PROJECT

    def __init__(self, folder: Path, registry: Registry) -> None:
        self.folder = folder
        self.registry = registry
        self._sent = 0
        self._environment = {
            **os.environ,
            "ORCHESTRATOR_IMAGE": f"{registry.engine_address}/{CHANNEL}",
            "CONSUMER_IMAGE": f"{registry.engine_address}/autonomy/consumer:latest",
            "TIDEGATE_IMAGE": things.AGENT,
            "DOCKER_SOCKET": _socket(),
            "INSECURE_REGISTRIES": registry.engine_address,
            "WATCHTOWER_INTERVAL": "1",
            "BAKE": "3s",
        }

    def compose(self, *words: str, check: bool = True) -> str:
        """Run `docker compose WORDS...` on the example."""
        return self._compose(self._file, *words, check=check)

    def _compose(self, file: Path, *words: str, check: bool = True) -> str:
        command = ["docker", "compose", "-p", self.project, "-f", str(file), *words]
        return run(command, env=self._environment, check=check)

    @cached_property
    def _file(self) -> Path:
        if not things.shared():
            return EXAMPLE
        document = json.loads(self._compose(EXAMPLE, "config", "--format", "json"))
        return things.write(things.on_shared_engine(document, things.others()), self.folder)

    def push(self, version: str, **options: Any) -> Pushed:
        """A release of the orchestrator on its channel."""
        return build(self.registry, CHANNEL, version=version, labels=things.MARK, **options)

    def counts(self) -> Counts:
        """All that the consumer has told. DemoError if it cannot be asked, or has begun to count anew."""
        text = run(["docker", "logs", f"{self.project}-consumer-1"])
        lines = [json.loads(line) for line in text.splitlines()]
        sent = [line["sent"] for line in lines]
        expect(sent == sorted(sent) and (sent or [0])[-1] >= self._sent, "the consumer has begun to count anew")
        if not lines:
            return Counts()
        self._sent = sent[-1]
        versions = tuple(version for version, _ in itertools.groupby(line["version"] for line in lines) if version)
        return Counts(sent[-1], lines[-1]["failed"], versions)

    def agent(self, *words: str) -> Any:
        """What `tidegate agent WORDS... --json` says, inside the agent's own container."""
        text = self.compose("exec", "-T", "watchtower", "tidegate", "agent", *words, "--json")
        return json.loads(text)

    def containers(self) -> set[str]:
        """The ids of the project's containers."""
        return set(self.compose("ps", "-q").split())

    def outcome(self, digest: str) -> str | None:
        """How the update to a digest ended, if it has."""
        ended = [row for row in self.agent("history") if row["to_digest"] == digest]
        return str(ended[-1]["outcome"]) if ended else None


class Story:
    """Tells what happens, a line at a time, with the requests sent and failed so far."""

    def __init__(self, cluster: Cluster, began: float) -> None:
        self._cluster = cluster
        self._began = began

    def tell(self, text: str) -> None:
        """One line."""
        counts = self._cluster.counts()
        seconds = time.monotonic() - self._began
        print(f"{seconds:6.1f} s  {counts.sent:6d} sent {counts.failed:3d} failed  {text}", flush=True)


def main() -> int:
    """Run the demo, or clean up after it; the exit code."""
    if "--clean" in sys.argv:
        demo_kept.end()
        return clean_up()
    registry = ground_registry()
    with tempfile.TemporaryDirectory() as scratch:
        cluster = Cluster(Path(scratch), registry)
        things.remove(with_base=False)  # what an earlier demo has left
        had_base = things.has_base()
        try:
            played = play(cluster)
        except DemoError as error:
            print(f"\nThe demo failed: {error}\n", file=sys.stderr)
            print(cluster.compose("logs", "--tail", "40", "watchtower", check=False), file=sys.stderr)
            return 1
        finally:
            things.remove(with_base=not had_base)
    table(played)
    code = verdict(played.total)
    if code == 0 and "--and-fleet" in sys.argv:
        print(flush=True)
        os.execv(sys.executable, [sys.executable, str(ROOT / "scripts" / "demo_fleet.py")])
    return code


def ground_registry() -> Registry:
    """The ground's registry, by the address at which engine and containers reach it."""
    address = os.environ.get("GROUND_REGISTRY_LAN") or os.environ["GROUND_REGISTRY"]
    return Registry(os.environ["GROUND_REGISTRY"], engine_address=address)


def clean_up() -> int:
    """Remove what a demo made on the engine that answers; the exit code."""
    try:
        host = existing.answering_host()
    except GroundError as error:
        print(error, file=sys.stderr)
        return 1
    if not host:
        print("No engine answers, so there is nothing to remove: of a private engine nothing stays.")
        return 0
    os.environ |= {"DOCKER_HOST": host, "PATH": f"{os.environ['PATH']}:{unpacked('trixie') / 'usr/bin'}"}
    if not shutil.which("docker"):
        print("No docker program: install Docker's command line to have the demo's things removed.", file=sys.stderr)
        return 1
    things.remove(with_base=True)
    return 0


def play(cluster: Cluster) -> Played:
    """The four releases, one after the other."""
    story = Story(cluster, time.monotonic())
    print("Building the agent's image from deploy/Dockerfile", flush=True)
    agent_image.build(things.AGENT, stage_tag=things.BUILD_STAGE)
    build(cluster.registry, "autonomy/consumer:latest", version="consumer", labels=things.MARK)
    cluster.push("1")
    cluster.compose("pull", "--quiet", "orchestrator", "consumer")  # an engine may have other images by these names
    cluster.compose("up", "-d", "--wait")
    story.tell("The cluster runs v1: orchestrator, consumer, and the agent in its own container")
    rows = [good(cluster, story, "2")]
    rows.append(bad(cluster, story, "3"))
    rows.append(good(cluster, story, "4"))
    before = cluster.containers()
    cluster.compose("up", "-d")
    expect(cluster.containers() == before, "docker compose up -d made a container anew")
    story.tell("docker compose up -d has nothing to do")
    return Played(rows, cluster.counts())


def good(cluster: Cluster, story: Story, version: str) -> Row:
    """A release that works: it has to be found, rolled in and kept."""
    before, began = cluster.counts(), time.monotonic()
    pushed = cluster.push(version)
    story.tell(f"v{version} is pushed")
    until(lambda: cluster.counts().version == version, f"v{version} serves")
    seconds = time.monotonic() - began
    story.tell(f"v{version} serves")
    until(lambda: cluster.outcome(pushed.digest), f"the update to v{version} ends")
    outcome = cluster.outcome(pushed.digest) or ""
    expect(outcome == "committed", f"v{version} was to be kept, but it was {outcome}")
    story.tell(f"v{version} is proved and kept")
    return Row(f"v{version}", outcome, seconds, cluster.counts().failed - before.failed)


def bad(cluster: Cluster, story: Story, version: str) -> Row:
    """A release that never becomes healthy: it must not serve, must be put back, and must not come again."""
    before = cluster.counts()
    pushed = cluster.push(version, env={"SICK": "1"})
    story.tell(f"v{version} is pushed; it never becomes healthy")
    until(lambda: cluster.outcome(pushed.digest), f"the update to v{version} ends")
    outcome = cluster.outcome(pushed.digest) or ""
    expect(outcome == "rolled-back", f"v{version} was to be rolled back, but it was {outcome}")
    story.tell(f"v{version} is rolled back")
    held = [row["digest"] for row in cluster.agent("quarantine", "list")]
    expect(pushed.digest in held, f"v{version} is not in quarantine: {held}")
    after = cluster.counts()
    others = after.versions[len(before.versions) :]
    expect(not others, f"v{before.version} was to serve all along, but {' and '.join(others)} answered too")
    story.tell(f"v{version} is in quarantine; v{before.version} has served all along")
    return Row(f"v{version}", outcome, None, after.failed - before.failed)


def table(played: Played) -> None:
    """What happened."""
    from rich.console import Console  # noqa: PLC0415 - at the end, when there is something to show
    from rich.table import Table  # noqa: PLC0415 - the same

    total = f"{played.total.failed} of {played.total.sent} requests failed, from the first to the last"
    shown = Table("release", "verdict", "push to serving", "failed requests", title="What happened", caption=total)
    for row in played.rows:
        shown.add_row(
            row.release, row.verdict, f"{row.seconds:.1f} s" if row.seconds else "never served", str(row.failed)
        )
    Console().print(shown)


def verdict(total: Counts) -> int:
    """0 if no request failed, between the releases neither."""
    if total.failed:
        print(f"{total.failed} requests failed; none should have.", file=sys.stderr)
    return 1 if total.failed else 0


def until(true: Callable[[], object], what: str) -> None:
    """Wait for something that has to happen."""
    deadline = time.monotonic() + STEP_LIMIT_S
    while not true():
        if time.monotonic() > deadline:
            raise DemoError(f"this did not happen within {STEP_LIMIT_S:.0f} s: {what}")
        time.sleep(0.1)


def expect(true: bool, otherwise: str) -> None:
    """Hold the demo to what it says."""
    if not true:
        raise DemoError(otherwise)


def run(command: list[str], *, env: dict[str, str] | None = None, check: bool = True) -> str:
    """Run a program; its standard output. DemoError with its error output if it fails."""
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise DemoError(f"`{' '.join(command)}` failed with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def _socket() -> str:
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    return host.removeprefix("unix://")


if __name__ == "__main__":
    sys.exit(main())
