"""The quick start and the operator's commands, played line by line with the image that the README's command builds."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import shlex
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.absent import PRIVATE, cannot
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.images import Pushed
from tests.support.pages import ROOT, blocks, commands
from tests.support.waiting import served_version, wait_for

from groundwork import agent_image, base

AGENT = "ghcr.io/tidegate/agent:latest"
WEB = "127.0.0.1:80"
STAND_IN = """
FROM {base}
COPY pip.whl /
RUN python3 -m zipfile -e /pip.whl /usr/lib/python3/dist-packages
ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=http://{gateway}:{port}/ PIP_TRUSTED_HOST={gateway}
"""
pytestmark = pytest.mark.timeout(600)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def package_index() -> Iterator[int]:
    """The locked wheels over HTTP, for machines that reach no index from within a build; the port."""
    handler = functools.partial(Quiet, directory=str(agent_image.wheels()))
    with http.server.ThreadingHTTPServer(("0.0.0.0", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def _image(engine_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The agent's image, from the README's command as it stands; what the Dockerfile's base is on an open network."""
    assert engine_url
    if "GROUND_PRIVATE" not in os.environ:
        cannot(f"the names of images that people use are not ours to take: {PRIVATE}")
    context = tmp_path_factory.mktemp("stand-in")
    (context / "pip.whl").write_bytes((agent_image.wheels() / "pip.whl").read_bytes())
    gateway = docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", "bridge")
    (line,) = {line for line in commands() if line.startswith("docker build -f deploy/Dockerfile")}
    with package_index() as port:
        text = STAND_IN.format(base=base.ensure(), gateway=gateway, port=port)
        (context / "Dockerfile").write_text(text, encoding="utf-8")
        docker("build", "-q", "-t", base.default(), str(context), timeout_s=180)
        subprocess.run(shlex.split(line), cwd=ROOT, check=True, capture_output=True, timeout=300)
    yield
    docker("image", "rm", "--force", AGENT, base.default())


class Reader:
    """Somebody who does what the pages say, in the folder of the agent's Compose file."""

    def __init__(self, folder: Path, shop: Compose) -> None:
        self._folder = folder
        self._shop = shop
        self._env = {**os.environ, "COMPOSE_PROJECT_NAME": f"{shop.project}-agent"}
        self._lines = list(commands())
        folder.mkdir()
        (file,) = [one for one in blocks("yaml") if one.page == "quick-start.md" and "command: --label-" in one.text]
        (folder / "docker-compose.yml").write_text(file.text, encoding="utf-8")
        (check,) = [one for one in blocks("yaml") if "healthcheck:" in one.text and AGENT in one.text]
        (folder / "health.yml").write_text(check.text, encoding="utf-8")
        # of a test's registry, and so that nobody waits long
        quick = {"TIDEGATE_INSECURE_REGISTRIES": os.environ["GROUND_REGISTRY_LAN"], "TIDEGATE_BAKE": "1s"}
        override = {"services": {"tidegate": {"environment": {**quick, "TIDEGATE_HEALTH_TIMEOUT": "10s"}}}}
        (folder / "docker-compose.override.yml").write_text(json.dumps(override), encoding="utf-8")

    def does(self, line: str, *more: str) -> str:
        """A line of the pages, without a terminal; what it printed."""
        assert line in self._lines, f"no page says `{line}`"
        words = shlex.split(line.replace("shop/web", f"{self._shop.project}/web"))
        return self.runs([word for word in words if word != "-f"], *more)

    def runs(self, words: Sequence[str], *more: str) -> str:
        """Any command."""
        at = words.index("exec") + 1 if "exec" in words else 0
        command = [*words[:at], *(["-T"] if "compose" in words and at else []), *words[at:], *more]
        done = subprocess.run(command, cwd=self._folder, env=self._env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{shlex.join(command)}: {done.stderr}"
        return done.stdout

    def agent(self, line: str) -> Any:
        """What `docker compose exec tidegate tidegate agent LINE` prints as JSON."""
        return json.loads(self.does(f"docker compose exec tidegate tidegate agent {line}", "--json"))

    def finds(self, release: Callable[[], Pushed]) -> Pushed:
        """The agent looks at once after a push. It is down meanwhile: it may find a release by itself, and be at it."""
        self.does("docker compose stop tidegate")
        pushed = release()
        self.does("docker compose restart tidegate")
        return pushed

    def updated_to(self, version: str) -> None:
        """The shop has the release, and the agent has told so."""
        wait_for(lambda: served_version(WEB) == version, f"version {version} serves", limit_s=120)
        wait_for(lambda: self.outcomes()[-1:] == ["committed"], f"the update to {version} ends", limit_s=120)

    def outcomes(self) -> list[str]:
        """How each update ended, the oldest first."""
        return [row["outcome"] for row in self.agent("history")]


@pytest.fixture
def shop(compose: Compose, push: Push, repository: str) -> Compose:
    """The page's own service, up at version 1, from the test's own registry."""
    (file,) = [one for one in blocks("yaml") if one.page == "quick-start.md" and "acme/web" in one.text]
    push("1")
    reference = f"{os.environ.get('GROUND_REGISTRY_LAN')}/{repository}:latest"
    compose.write(file.text.replace("ghcr.io/acme/web:stable", reference))
    return compose


@pytest.fixture
def reader(shop: Compose, tmp_path: Path) -> Iterator[Reader]:
    yield Reader(tmp_path / "agent", shop)
    Compose(tmp_path, f"{shop.project}-agent").clean()


@pytest.mark.usefixtures("_image")
def test_the_quick_start_is_played_from_the_build_to_the_removal(reader: Reader, shop: Compose, push: Push) -> None:
    reader.does("docker compose up -d")
    shop.up()
    wait_for(lambda: "agent started" in reader.does("docker compose logs -f tidegate"), "the agent has started")
    _the_plan_names_the_service_and_nothing_else(reader, shop)
    second = reader.finds(lambda: push("2"))
    reader.updated_to("2")
    assert reader.outcomes() == ["committed"]
    (row,) = reader.agent("status")
    assert (row["service"], row["running_digest"]) == ("web", second.digest)
    broken = reader.finds(lambda: push("3", env={"SICK": "1"}))
    wait_for(lambda: reader.outcomes() == ["committed", "rolled-back"], "the broken one is put back", limit_s=120)
    assert [one["digest"] for one in reader.agent("quarantine list")] == [broken.digest]
    reader.finds(lambda: push("4"))
    reader.updated_to("4")
    reader.does("docker compose exec tidegate tidegate agent rollback shop/web")
    assert served_version(WEB) == "2"
    assert shop.changes() == []
    _operations(reader, shop)


def _the_plan_names_the_service_and_nothing_else(reader: Reader, shop: Compose) -> None:
    selected = [row["service"] for row in reader.agent("plan") if row["selected"]]
    assert selected == ["web"]
    name = reader.runs(["docker", "compose", "ps", "--format", "{{.Name}}"]).strip()
    assert f"{shop.project}-web-1" in reader.runs(["docker", "exec", name, "tidegate", "agent", "plan"])


def _operations(reader: Reader, shop: Compose) -> None:
    """What the page for operators says, on the agent that the quick start has left."""
    assert "rolled" in reader.does("docker compose logs --since 1h tidegate")
    reader.does("docker compose exec tidegate tidegate agent history --limit 10")
    lines = reader.does("docker compose exec tidegate cat /var/lib/tidegate/history.jsonl").splitlines()
    assert [json.loads(line)["outcome"] for line in lines].count("committed") == 3
    reader.does("docker compose exec tidegate tidegate agent quarantine release all")
    files = ["-f", "docker-compose.yml", "-f", "docker-compose.override.yml", "-f", "health.yml"]
    reader.runs(["docker", "compose", *files, "up", "-d", "--wait"])  # returns when it is healthy
    wait_for(lambda: reader.outcomes().count("committed") == 4, "what is not held any more is rolled in", limit_s=120)
    reader.does("docker compose stop tidegate")
    assert served_version(WEB) == "4"
    reader.does("docker compose down --volumes")
    reader.does("docker network prune --force --filter label=tidegate.private-for")
    assert "tidegate.local/keep" in reader.does("docker image ls --filter reference=tidegate.local/keep")
    left = [docker(kind, "ls", "-q", "--filter", f"name={shop.project}-agent") for kind in ("volume", "network")]
    assert left == ["", ""]
    assert served_version(WEB) == "4"
