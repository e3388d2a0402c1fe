"""What `make` would do is what the README says of it; make itself is asked, and nothing is run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess

import pytest
from tests.support.pages import PAGES, ROOT

LINT = (".venv/bin/ruff check", ".venv/bin/ruff format --check", ".venv/bin/mypy")
SETUP = ("python3 -m venv --without-pip .venv", "--require-hashes -r requirements-dev.txt", "-e .")
TESTS, GROUND = "exec python3 scripts/test.py", "exec python3 scripts/ground.py run"
DEMO, BENCH = "-- .venv/bin/python scripts/demo.py", "-- .venv/bin/python bench/agent.py"
MANAGER = (
    "tests/manager",
    "tests/cli",
    "tests/engine/test_interrupted.py",
    "tests/engine/test_managed_fleet.py",
    "tests/engine/test_managed_interrupted.py",
    "tests/engine/test_managed_busy.py",
    "tests/engine/test_managed_queue.py",
    "tests/engine/test_managed_risks.py",
    "tests/engine/test_agent_managed.py",
    "tests/engine/test_manager_quick_start.py",
)
SCRIPT = tuple(sorted(f"tests/engine/{path.name}" for path in (ROOT / "tests/engine").glob("test_deployment_script*")))
AUTONOMY = (*SCRIPT, *(f"tests/engine/test_{name}.py" for name in ("orchestrator_guide", "pipeline", "zero_downtime")))
PLAYED = tuple(f"tests/engine/test_{name}.py" for name in ("demo", "docs", "quick_start"))
AT_LENGTH = (
    "tests/engine/test_self_update.py",
    "tests/engine/test_swap_neighbours.py",
    "tests/engine/test_swap_volumes.py",
    "tests/engine/test_riders.py",
    "tests/engine/test_injected.py",
    "tests/engine/test_agent_retention.py",
    "tests/engine/test_ground.py",
    "tests/engine/test_ground_ends.py",
    "tests/engine/test_bench.py",
    "tests/faults/test_release_cut_short.py",
)
OTHERS = (*MANAGER, *AUTONOMY, *PLAYED, *AT_LENGTH, "tests/people", "tests/peers")
WITHOUT = " ".join(f"--ignore={path}" for path in OTHERS)
OTHERWISE = (
    *("announce", "agent_events", "candidate_falls", "cut_announced", "cut_connections", "injected"),
    *("private", "probe_and_hooks", "prove_health", "recreate", "riders", "self_update", "start_refused"),
    *("strategy_chosen", "swap_cut", "swap_ingress", "swap_neighbours", "swap_volumes", "update", "update_places"),
    "update_refused",
)
AGAIN = (
    "tests/contract/test_engine.py",
    "tests/contract/test_engine_pulls.py",
    *(f"tests/engine/test_{name}.py" for name in OTHERWISE),
    "tests/peers/test_autonomy_watchtower.py",
)
NEWER = '--engine=trixie -m "engine and not long"'

WHAT_IS_SAID = {
    "demo": (*SETUP, f"{GROUND} {DEMO}"),
    "demo KEEP=1": (*SETUP, ".venv/bin/python scripts/demo_kept.py"),
    "demo-clean": ("python3 scripts/demo.py --clean",),
    "setup": SETUP,
    "test": (*SETUP, *LINT, f"{TESTS} --engine= {WITHOUT}"),
    "test ENGINE=bookworm": (*SETUP, *LINT, f"{TESTS} --engine=bookworm {WITHOUT}"),
    "test-unit": (*SETUP, ".venv/bin/pytest tests/unit -n auto"),
    "package": (*SETUP, ".venv/bin/python -m hatchling build -d dist"),
    "test-manager": (*SETUP, f"{TESTS} --engine= {' '.join(MANAGER)}"),
    "test-autonomy": (*SETUP, f"{TESTS} --engine= {' '.join(AUTONOMY)}"),
    "test-peers": (*SETUP, "-m groundwork.watchtower", f"{TESTS} --engine= tests/peers"),
    "test-others": (
        *SETUP,
        "-m groundwork.watchtower",
        f"{TESTS} --engine= {' '.join(OTHERS)}",
    ),
    "test-engines": (*SETUP, *LINT, f"{TESTS} --engine=bookworm", f"{TESTS} {NEWER}"),
    "test-played": (*SETUP, f"{TESTS} --engine= {' '.join(PLAYED)}"),
    "test-second-engine": (*SETUP, f"{TESTS} {NEWER} {' '.join(AGAIN)}"),
    "test-long": (*SETUP, f"{TESTS} --engine=bookworm -m long", f"{TESTS} --engine=trixie -m long"),
    "test-people": (*SETUP, f"{TESTS} --engine= -m long tests/people"),
    "test-manager-kills": (*SETUP, f"{TESTS} --engine= -m long tests/manager/faults"),
    "test-faults": (*SETUP, f'{TESTS} --engine= -m "long or not long" tests/faults'),
    "bench": (*SETUP, f"{GROUND} {BENCH}"),
    "bench ENGINE=trixie": (*SETUP, f"{GROUND} --engine trixie {BENCH}"),
    "bench-downtime": (*SETUP, "-m groundwork.watchtower", f"{GROUND} -- .venv/bin/python bench/downtime.py"),
    "bench-manager": (*SETUP, f"{GROUND} -- .venv/bin/python bench/manager.py"),
    "bench-console": (*SETUP, "PYTHONPATH=scripts .venv/bin/python bench/console.py"),
    "screenshots": (*SETUP, "PYTHONPATH=scripts .venv/bin/python scripts/pictures.py"),
    "compare": (
        *SETUP,
        "-m groundwork.watchtower",
        f"{GROUND} --engine trixie -- .venv/bin/python bench/compare.py --table",
    ),
    "compare ENGINE=bookworm": (f"{GROUND} --engine bookworm -- .venv/bin/python bench/compare.py --table",),
    "lock": ("--generate-hashes",),
    "help": ("grep",),
}


def would_run(words: str) -> list[str]:
    """The lines that `make WORDS` would run where nothing has been made yet."""
    env = {key: value for key, value in os.environ.items() if key in {"PATH", "HOME"}}
    command = ["make", "--dry-run", "--always-make", *words.split()]
    asked = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr
    return [" ".join(line.split()) for line in asked.stdout.splitlines()]


@pytest.mark.parametrize("words", WHAT_IS_SAID)
def test_a_target_would_do_what_is_said_of_it_in_that_order(words: str) -> None:
    lines = iter(would_run(words))
    missing = [part for part in WHAT_IS_SAID[words] if not any(f" {part} " in f" {line} " for line in lines)]
    assert missing == []


@pytest.mark.parametrize("words", WHAT_IS_SAID)
def test_every_program_that_a_target_would_run_is_there(words: str) -> None:
    named = {word for line in would_run(words) for word in shlex.split(line) if re.fullmatch(r"[\w./-]+\.py", word)}
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_every_target_that_the_pages_name_is_among_these() -> None:
    named = {
        " ".join([target, *engine.split()])
        for page in PAGES
        for engine, target in re.findall(
            r"(?:^|`)(ENGINE=\w+ )?make ([a-z-]+)(?:`|\s|$)", page.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert {"demo", "test", "bench ENGINE=trixie"} <= named
    assert named <= set(WHAT_IS_SAID)


def test_whether_watchtower_is_there_is_for_its_builder_to_say() -> None:
    naming = [line for line in would_run("test-peers") if ".ground/watchtower.ready" in line]
    assert naming == ["PYTHONPATH=scripts .venv/bin/python -m groundwork.watchtower .ground/watchtower.ready"]
