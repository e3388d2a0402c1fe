"""The same scenarios for the real Watchtower and for the agent, side by side. `make compare` runs it.

bench/compare.py [SCENARIO ...] [--updates N] [--table]: the scenarios named, or all of them, as one JSON object, or as
a table in Markdown. Both updaters are containers of the same service definition, told to look by POST /v1/update.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "scripts")]

from bench import compare_cost, compare_failures, compare_kept, compare_killed, machine  # noqa: E402 - after the path
from bench.compare_cluster import Outcome  # noqa: E402 - the same
from bench.compare_table import table  # noqa: E402 - the same
from bench.compare_updaters import updaters  # noqa: E402 - the same
from bench.compare_world import Outside, Updater, is_private, outside  # noqa: E402 - the same

from groundwork.paths import GroundError  # noqa: E402 - the same

Each = Callable[[Outside, Updater], Outcome]
Both = Callable[[Outside, Sequence[Updater], int], dict[str, Outcome]]


@dataclass(frozen=True)
class Scenario:
    """A row of the table; `of_both` is given where the updaters take turns."""

    title: str
    of_each: Each | None = None
    of_both: Both | None = None

    def run(self, around: Outside, several: Sequence[Updater], updates: int) -> dict[str, Outcome]:
        """What became of it, by the updater."""
        if self.of_both is not None:
            return self.of_both(around, several, updates)
        assert self.of_each is not None
        return {one.name: self.of_each(around, one) for one in several}


SCENARIOS = {
    "refused": Scenario(
        "The new container cannot be created: a folder that it mounts is gone", compare_failures.refused
    ),
    "sick": Scenario("The new release is sick: its health check fails", compare_failures.sick),
    "exits": Scenario("The new release exits at start", compare_failures.exits),
    "killed": Scenario("The updater is killed when the old container has stopped", compare_killed.when_it_stops),
    "killed-later": Scenario("The updater is killed when the old one was removed", compare_killed.when_it_is_removed),
    "addresses": Scenario("A static address and a MAC address", compare_kept.addresses),
    "volume": Scenario("Data in an anonymous volume", compare_kept.anonymous_volume),
    "compose": Scenario("`docker compose up -d` afterwards", compare_kept.compose_afterwards),
    "away": Scenario("The registry is away during a look", compare_failures.registry_away),
    "gap": Scenario(
        "Longest silence of a published port during an update, image boots at once", of_both=compare_cost.gap
    ),
    "slow-gap": Scenario("The same, image boots in 5 s", of_both=compare_cost.slow_gap),
    "requests": Scenario(
        "A look at 5 containers of one image, nothing new: asked of the registry", compare_cost.requests_of_a_look
    ),
    "memory": Scenario("Resident memory, nothing to do", compare_cost.memory),
}


def main(argv: list[str]) -> int:
    """Run, print, and say on the error output what is being run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("scenarios", nargs="*", choices=[[], *SCENARIOS], help="default: all")
    parser.add_argument("--updates", type=int, default=5, help="updates for each gap (default: %(default)s)")
    parser.add_argument("--table", action="store_true", help="a table in Markdown, not JSON")
    options = parser.parse_args(argv)
    if not is_private():
        print(
            "This needs an engine of its own: run it with `scripts/ground.py run --engine bookworm --`.",
            file=sys.stderr,
        )
        return 2
    try:
        several = updaters()
    except GroundError as error:
        print(error, file=sys.stderr)
        return 1
    found: dict[str, Any] = {"machine": machine.describe(), "scenarios": {}}
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder, outside(Path(folder)) as around:
        for name in options.scenarios or SCENARIOS:
            found["scenarios"][name] = _one(SCENARIOS[name], around, several, options.updates)
    found["machine"]["load_after"] = machine.load()
    print(table(found) if options.table else json.dumps(found, indent=2))
    return 0


def _one(scenario: Scenario, around: Outside, several: Sequence[Updater], updates: int) -> dict[str, Any]:
    print(f"{scenario.title}...", file=sys.stderr, flush=True)
    begun = time.monotonic()
    outcomes = scenario.run(around, several, updates)
    for name, outcome in outcomes.items():
        print(f"  {name}: {outcome.cell}", file=sys.stderr, flush=True)
    took = round(time.monotonic() - begun, 1)
    return {"title": scenario.title, "took_s": took, **{name: asdict(one) for name, one in outcomes.items()}}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
