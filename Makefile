# make demo and make test need python3 (3.11 or newer), pip, git and make; everything else they fetch themselves.
# ENGINE=bookworm (Docker 20.10) or ENGINE=trixie (Docker 26.1) starts a private engine of that Debian release;
# without it the engine that answers is used, and a private one only where none does.

PYTHON ?= python3
UV ?= uv
ENGINE ?=
PYTEST_ARGS ?=
BIN := .venv/bin
READY := .venv/.ready
PARTS := .ground/parts.ready
PEERS := .ground/watchtower.ready
# exec: a signal that make passes on has to reach the ground, not a shell in between.
GROUND := exec $(PYTHON) scripts/ground.py
ON_GROUND = $(GROUND) run $(if $(ENGINE),--engine $(ENGINE)) --
TESTS := exec $(PYTHON) scripts/test.py
# What the manager, and an agent that has one, are tested by; it takes minutes of its own.
MANAGER := tests/manager tests/cli $(addprefix tests/engine/test_,interrupted.py managed_fleet.py managed_interrupted.py managed_busy.py managed_queue.py managed_risks.py agent_managed.py manager_quick_start.py)
# What the autonomy cluster is tested by: its script, its guide, its pipeline, its proxy.
SCRIPT := $(sort $(wildcard tests/engine/test_deployment_script*.py))
AUTONOMY := $(SCRIPT) $(addprefix tests/engine/test_,orchestrator_guide.py pipeline.py zero_downtime.py)
# What is played from beginning to end, as a reader would: pages, quick start, demo.
PLAYED := $(addprefix tests/engine/test_,demo.py docs.py quick_start.py)
# What takes minutes and is of one thing each: the agent's own update, what moves with a container, images that are kept, the ground.
AT_LENGTH := $(addprefix tests/engine/test_,self_update.py swap_neighbours.py swap_volumes.py riders.py injected.py agent_retention.py ground.py ground_ends.py bench.py) tests/faults/test_release_cut_short.py
# What may go otherwise on a newer engine: how containers are made, joined, started, watched and replaced. `make test-engines` has all.
OTHERWISE := announce agent_events candidate_falls cut_announced cut_connections injected private probe_and_hooks prove_health recreate riders self_update start_refused strategy_chosen swap_cut swap_ingress swap_neighbours swap_volumes update update_places update_refused
AGAIN := tests/contract/test_engine.py tests/contract/test_engine_pulls.py $(OTHERWISE:%=tests/engine/test_%.py) tests/peers/test_autonomy_watchtower.py

.PHONY: help setup lint test test-manager test-autonomy test-peers test-played test-others test-engines test-second-engine test-long test-people test-manager-kills bench bench-manager demo demo-clean lock clean test-unit package bench-downtime bench-console compare test-faults screenshots
.DELETE_ON_ERROR:

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 20

setup: $(READY)  ## the virtual environment, from the lock file

# Debian's python3 comes without ensurepip, so the machine's own pip fills the environment.
$(READY): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11: name a newer one, e.g. make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv --without-pip .venv
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	touch $(READY)

# Wheels and a base for the images of agent and manager, and the linter of workflows.
$(PARTS): $(READY) requirements.txt requirements-manager.txt
	PYTHONPATH=scripts $(BIN)/python -m groundwork.agent_image
	PYTHONPATH=scripts $(BIN)/python -m groundwork.actionlint
	touch $(PARTS)

# The real Watchtower; where there is no Go, what needs it is left out, and says so, until there is one.
$(PEERS): $(READY) tests/peers/watchtower/go.mod tests/peers/watchtower/go.sum
	PYTHONPATH=scripts $(BIN)/python -m groundwork.watchtower $(PEERS)

lint: $(READY)  ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

test: lint $(PARTS)  ## lint and every test but the long ones and those of test-others, on one engine
	$(TESTS) --engine=$(ENGINE) $(foreach path,$(MANAGER) $(AUTONOMY) $(PLAYED) $(AT_LENGTH) tests/people tests/peers,--ignore=$(path)) $(PYTEST_ARGS)

test-unit: $(READY)  ## the tests that need neither engine nor registry, on this Python
	$(BIN)/pytest tests/unit -n auto $(PYTEST_ARGS)

package: $(READY)  ## the Python package, in dist/
	rm -rf dist
	$(BIN)/python -m hatchling build -d dist

test-manager: $(PARTS)  ## the tests of the manager, of its command line and of a whole fleet, on SQLite and PostgreSQL
	$(TESTS) --engine=$(ENGINE) $(MANAGER) $(PYTEST_ARGS)

test-engines: lint $(PARTS) $(PEERS)  ## everything of both, on both engines
	$(TESTS) --engine=bookworm $(PYTEST_ARGS)
	$(TESTS) --engine=trixie -m "engine and not long" $(PYTEST_ARGS)

test-second-engine: $(PARTS) $(PEERS)  ## what may go otherwise on the newer engine
	$(TESTS) --engine=trixie -m "engine and not long" $(AGAIN) $(PYTEST_ARGS)

test-long: $(PARTS)  ## the long tests, on both engines: kills and people's commands at every step; takes an hour or more
	$(TESTS) --engine=bookworm -m long $(PYTEST_ARGS)
	$(TESTS) --engine=trixie -m long $(PYTEST_ARGS)

test-autonomy: $(PARTS)  ## the tests of the autonomy cluster: deployment script, guide, pipeline and proxy, on one engine
	$(TESTS) --engine=$(ENGINE) $(AUTONOMY) $(PYTEST_ARGS)

test-peers: $(PARTS) $(PEERS)  ## beside the real Watchtower, which Go builds; on one engine
	$(TESTS) --engine=$(ENGINE) tests/peers $(PYTEST_ARGS)

test-played: $(PARTS)  ## the pages, the quick start and the demo, played from beginning to end on one engine
	$(TESTS) --engine=$(ENGINE) $(PLAYED) $(PYTEST_ARGS)

test-others: $(PARTS) $(PEERS)  ## these four at once, what people do meanwhile, and more that takes long: what make test leaves out, on one engine
	$(TESTS) --engine=$(ENGINE) $(MANAGER) $(AUTONOMY) $(PLAYED) $(AT_LENGTH) tests/people tests/peers $(PYTEST_ARGS)

test-people: $(PARTS)  ## of these, a person's commands at each step of each strategy, on one engine; takes minutes
	$(TESTS) --engine=$(ENGINE) -m long tests/people $(PYTEST_ARGS)

test-manager-kills: $(PARTS)  ## of these, kills of the manager at every point and at random ones, on one engine; takes minutes
	$(TESTS) --engine=$(ENGINE) -m long tests/manager/faults $(PYTEST_ARGS)

test-faults: $(PARTS)  ## every fault, long or not: kills, cuts and full disks at every step; tells how many; takes an hour or more
	$(TESTS) --engine=$(ENGINE) -m "long or not long" tests/faults $(PYTEST_ARGS)

bench: $(PARTS)  ## what docs/performance.md quotes, as JSON
	$(ON_GROUND) $(BIN)/python bench/agent.py

bench-downtime: $(PARTS) $(PEERS)  ## requests that fail while containers are replaced, behind a proxy and without one; takes half an hour
	$(ON_GROUND) $(BIN)/python bench/downtime.py

bench-manager: $(PARTS)  ## the same of the manager, with thousands of simulated agents
	$(ON_GROUND) $(BIN)/python bench/manager.py

bench-console: $(READY)  ## the console's first page with a thousand clusters: how long, how large
	PYTHONPATH=scripts $(BIN)/python bench/console.py

compare: $(PARTS) $(PEERS)  ## the table of docs/watchtower.md: the real Watchtower and the agent, side by side; takes ten minutes
	$(GROUND) run --engine $(or $(ENGINE),trixie) -- $(BIN)/python bench/compare.py --table

demo: $(PARTS)  ## a cluster that updates itself and puts itself back, then a fleet; with KEEP=1 the fleet is left running
ifdef KEEP
	@$(BIN)/python scripts/demo_kept.py $(if $(ENGINE),--engine $(ENGINE))
else
	@$(ON_GROUND) $(BIN)/python scripts/demo.py --and-fleet
endif

screenshots: $(PARTS)  ## the pictures of docs/pictures; with ALL=FOLDER those of every page, light and dark, desk and phone
	PYTHONPATH=scripts $(BIN)/python scripts/pictures.py $(if $(ALL),--all $(ALL))

demo-clean:  ## end a demo that was left running, and remove what demos made
	@$(PYTHON) scripts/demo.py --clean

lock:  ## resolve the dependencies anew; needs uv
	$(UV) pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --upgrade --quiet -o requirements.txt
	$(UV) pip compile pyproject.toml --extra manager --universal --python-version 3.11 --generate-hashes --no-header --upgrade --quiet -o requirements-manager.txt
	$(UV) pip compile pyproject.toml --group dev --extra manager --extra apprise --universal --python-version 3.11 --generate-hashes --no-header --upgrade --quiet -o requirements-dev.txt

clean:  ## remove the environment and everything fetched
	rm -rf .venv .ground .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
