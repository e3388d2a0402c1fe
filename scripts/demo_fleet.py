"""The demo of a fleet: a manager, three clusters with an agent each, and two people at the command line.

`make demo` runs it after the demo of one cluster; `make demo KEEP=1` leaves it running. Exits with 1 if anything was
not as said.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from tests.support.images import Pushed, build  # noqa: E402 - the path comes first
from tests.support.registry import Registry  # noqa: E402 - the same

import demo  # noqa: E402 - the same
import demo_kept  # noqa: E402 - the same
import demo_programs as programs  # noqa: E402 - the same
import demo_relay  # noqa: E402 - the same
import demo_things as things  # noqa: E402 - the same
from demo import DemoError, expect, until  # noqa: E402 - the same

CHANNEL = "fleet/orchestrator:stable"
CANARY, *REST = things.SITES
RULES = [
    "mode=approval",
    'waves=[{"labels": {"ring": "canary"}}]',
    "approvals=1",
    "soak=2s",
    "healthy_for=1s",
]
CHECK = {"test": ["CMD", "/app", "health"], "interval": "1s", "timeout": "2s", "retries": 3}
BAD = 5  # the exit code of `rollout watch` where it failed or was rolled back


class Site(demo.Cluster):
    """One cluster: an orchestrator, and a consumer that needs it all the time."""

    def __init__(self, name: str, folder: Path, registry: Registry) -> None:
        super().__init__(folder, registry)
        self.name = name
        self.project = f"{things.PROJECT}-{name}"
        self.cluster = f"{self.project}@{name}"

    @cached_property
    def _file(self) -> Path:
        folder = self.folder / self.name
        folder.mkdir(exist_ok=True)
        return things.write({"services": self._services()}, folder)

    def _services(self) -> dict[str, Any]:
        address = self.registry.engine_address
        ours = {"tidegate.enable": "true", "tidegate.scope": self.project, "tidegate.bake": "1s"}
        orchestrator = {"image": f"{address}/{CHANNEL}", "healthcheck": CHECK, "labels": ours}
        needs = {"orchestrator": {"condition": "service_healthy"}}
        consumer = {"image": f"{address}/fleet/consumer:latest", "command": ["ask", "orchestrator", "8000"]}
        return {"orchestrator": orchestrator, "consumer": {**consumer, "depends_on": needs}}


@dataclass(frozen=True)
class Fleet:
    """What the story is about."""

    registry: Registry
    manager: programs.ManagerProgram
    sites: Sequence[Site]
    folder: Path
    began: float

    def push(self, version: str, **options: Any) -> Pushed:
        """A release of the orchestrator on its channel."""
        return build(self.registry, CHANNEL, version=version, labels=things.MARK, **options)

    @property
    def channel(self) -> str:
        """The channel's name."""
        return f"{self.registry.engine_address}/{CHANNEL}"

    def counts(self) -> demo.Counts:
        """Of all consumers together."""
        each = [site.counts() for site in self.sites]
        return demo.Counts(sum(one.sent for one in each), sum(one.failed for one in each))

    def tell(self, text: str) -> None:
        """One line."""
        counts, seconds = self.counts(), time.monotonic() - self.began
        print(f"{seconds:6.1f} s  {counts.sent:6d} sent {counts.failed:3d} failed  {text}", flush=True)

    def serving(self) -> dict[str, str]:
        """Which version each cluster's consumer was answered by last."""
        return {site.name: site.counts().version for site in self.sites}

    def all_serve(self, version: str) -> None:
        """Wait until this one answers everywhere."""
        until(lambda: set(self.serving().values()) == {version}, f"v{version} serves everywhere")


def main() -> int:
    """Run the demo; the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory() as scratch:
        registry, folder = demo.ground_registry(), Path(scratch)
        things.remove(with_base=False)
        sites = [Site(name, folder, registry) for name in things.SITES]
        manager = programs.ManagerProgram(folder, insecure_registry=str(registry.engine_address))
        fleet = Fleet(registry, manager, sites, folder, time.monotonic())
        try:
            with _at_work(fleet) as (ann, bob):
                failed = _story(fleet, ann, bob)
                if "--keep" in sys.argv and not failed:
                    _keep(manager, ann, bob)
                return failed
        except (DemoError, programs.ProgramError) as error:
            print(f"\nThe demo failed: {error}\n", file=sys.stderr)
            print(manager.program.said()[-2000:] if manager.program.log.exists() else "", file=sys.stderr)
            return 1
        finally:
            things.remove(with_base=False)


@contextlib.contextmanager
def _at_work(fleet: Fleet) -> Iterator[tuple[programs.Person, programs.Person]]:
    """The manager, the clusters and their agents, for as long as the block lasts; ann runs it, bob approves."""
    build(fleet.registry, "fleet/consumer:latest", version="consumer", labels=things.MARK)
    fleet.push("1")
    try:
        _shown("", "manager", "serve")
        fleet.manager.start()
        _shown("", "manager", "create-token", "ann", "--role", "admin")
        ann = fleet.manager.person("ann", "admin")
        _shown("", "manager", "create-token", "bob", "--role", "approver")
        bob = fleet.manager.person("bob", "approver")
        for site in fleet.sites:
            site.compose("up", "-d")
        agents = [_enrolled(fleet, ann, site) for site in fleet.sites]
        with programs.running(*agents):
            yield ann, bob
    finally:
        fleet.manager.program.stop()


def _enrolled(fleet: Fleet, ann: programs.Person, site: Site) -> programs.Program:
    """An agent with a token of its own."""
    token = fleet.folder / f"{site.name}.enrol"
    ring = "canary" if site.name == CANARY else "rest"
    _says(ann, "agents", "enrol", site.name, "--label", f"ring={ring}", "--out", str(token))
    words = ("--label-enable", "--scope", site.project, "--interval", "1")
    _shown("", "agent", "run", *words)
    more = {
        "TIDEGATE_INSECURE_REGISTRIES": str(fleet.registry.engine_address),
        "TIDEGATE_PRIVATE_SUBNETS": str(things.SUBNETS),
        "TIDEGATE_HEALTH_TIMEOUT": "15s",
    }
    return programs.agent_program(fleet.folder, site.name, *words, manager=fleet.manager.url, enrol_token=token, **more)


def _story(fleet: Fleet, ann: programs.Person, bob: programs.Person) -> int:
    until(lambda: len(_listed(ann, "targets")) == len(fleet.sites), "the manager knows every cluster")
    fleet.all_serve("1")
    fleet.tell(f"Three clusters run v1, each with an agent: {CANARY} is the canary, then come {' and '.join(REST)}")
    _says(ann, "policy", "set", fleet.channel, *RULES, quiet=True)
    _good(fleet, ann, bob)
    _bad(fleet, ann, bob)
    _back(fleet, ann)
    total = fleet.counts()
    print(f"{total.failed} of {total.sent} requests failed, from the first to the last", flush=True)
    return demo.verdict(total)


def _good(fleet: Fleet, ann: programs.Person, bob: programs.Person) -> None:
    """A release that waits for bob, goes to the canary, soaks, and goes to the rest."""
    pushed = fleet.push("2")
    fleet.tell("v2 is pushed")
    rollout = _waiting(ann, pushed)
    _says(ann, "rollout", "show", rollout, "--changes")
    expect("2" not in fleet.serving().values(), "v2 was to wait for approval, but it serves")
    fleet.tell("v2 waits for approval")
    _says(bob, "rollout", "approve", rollout, "--yes")
    _watched(ann, rollout, 0)
    fleet.all_serve("2")
    fleet.tell("v2 serves everywhere: first the canary, then, after it soaked, the others")


def _bad(fleet: Fleet, ann: programs.Person, bob: programs.Person) -> None:
    """A release that stops at the canary and goes to quarantine; nobody else ever sees it."""
    before = {site.name: (site.containers(), site.counts().versions) for site in fleet.sites}
    pushed = fleet.push("3", env={"SICK": "1"})
    fleet.tell("v3 is pushed; it never becomes healthy")
    rollout = _waiting(ann, pushed)
    _says(bob, "rollout", "approve", rollout, "--yes")
    _watched(ann, rollout, BAD)
    _says(ann, "quarantine", "list")
    held = [row["digest"] for row in _listed(ann, "quarantine", "list")]
    expect(held == [pushed.digest], f"v3 was to be in quarantine, which has {held}")
    for site in fleet.sites:
        containers, versions = before[site.name]
        expect(site.counts().versions == versions, f"{site.name} was answered by {site.counts().versions}")
        expect(site.name == CANARY or site.containers() == containers, f"{site.name} has other containers than before")
    fleet.tell(f"v3 is rolled back and in quarantine; {' and '.join(REST)} never saw it")


def _back(fleet: Fleet, ann: programs.Person) -> None:
    """A good release goes back by one command."""
    said = _says(ann, "rollback", fleet.channel, "--reason", "errors since noon", "--yes")
    _watched(ann, said.split()[1].rstrip(":"), 0)
    fleet.all_serve("1")
    fleet.tell("v1 serves everywhere again")


def _waiting(ann: programs.Person, pushed: Pushed) -> str:
    """The number of a release's rollout, as soon as it waits for approval."""

    def found() -> list[str]:
        rows = _listed(ann, "rollout", "list", "--state", "awaiting_approval")
        return [str(row["id"]) for row in rows if row["digest"] == pushed.digest]

    until(found, "the release waits for approval")
    return found()[0]


def _listed(person: programs.Person, *words: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(person.says(*words, "--json"))
    return rows


def _watched(person: programs.Person, rollout: str, code: int) -> None:
    """Follow a rollout to its end, which is to be the one that this exit code is for."""
    words = ("rollout", "watch", rollout)
    _shown(person.name, *words)
    done = person.tries(*words)
    _print(done.stdout)
    expect(done.returncode == code, f"`rollout watch` ended with {done.returncode}, not {code}: {done.stderr}")


def _says(person: programs.Person, *words: str, quiet: bool = False) -> str:
    """Show a command of somebody's, and what it prints."""
    _shown(person.name, *words)
    said = person.says(*words)
    _print("" if quiet else said)
    return said


def _shown(who: str, *words: str) -> None:
    print(f"{'':{programs.INDENT}}{who}$ tidegate {shlex.join(words)}", flush=True)


def _print(text: str) -> None:
    for line in text.splitlines():
        for part in textwrap.wrap(
            line,
            programs.width(),
            subsequent_indent="  ",
            drop_whitespace=False,
            break_long_words=False,
            break_on_hyphens=False,
        ):
            if part.strip():
                print(f"{'':{programs.INDENT}}{part.rstrip()}", flush=True)


def _keep(manager: programs.ManagerProgram, ann: programs.Person, bob: programs.Person) -> None:
    """Say where it is, and leave it running until it is told to end."""
    with demo_relay.on_the_machine(int(manager.url.rpartition(":")[2])) as port:
        print(f"\nThe manager answers at http://127.0.0.1:{port}; `make demo-clean` ends it, and all of the demo.")
        for person, role in ((ann, "admin"), (bob, "approver")):
            print(f"{person.name} ({role}): {person.token}")
        print("\nHave a look around, with one of these tokens:")
        print(f"    .venv/bin/tidegate login http://127.0.0.1:{port}", flush=True)
        demo_kept.READY.touch()
        threading.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
