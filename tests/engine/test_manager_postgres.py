"""The manager's Compose files with a real PostgreSQL, run as they are: what their pages promise of them."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import postgres_image
from tests.support.absent import PRIVATE, cannot
from tests.support.compose import Compose
from tests.support.docker import docker, inspect
from tests.support.pages import ROOT, blocks, spans_of
from tests.support.waiting import wait_for

from groundwork import agent_image

IMAGE, MANAGER = "tidegate-test-postgres:15", "ghcr.io/tidegate/manager:latest"
SECRET = "s p@c/e:%41'"  # of this test alone; nothing of it may be left out or read otherwise
GUIDE = [block.text for block in blocks("sh") if block.page == "manager-operations.md" and "compose" in block.text]
FILES = {"postgres": "docker-compose.yml:postgres.yml", "sqlite": "docker-compose.yml"}
DATA = "/var/lib/tidegate-manager"
AWAY_S = 15
pytestmark = [pytest.mark.long, pytest.mark.timeout(700)]


@pytest.fixture(scope="module")
def _images(engine_url: str) -> Iterator[None]:
    assert engine_url
    if "GROUND_PRIVATE" not in os.environ:
        cannot(f"the names of images that people use are not ours to take: {PRIVATE}")
    agent_image.build(MANAGER, of=agent_image.MANAGER)
    postgres_image.build(IMAGE)
    yield
    docker("image", "rm", "--force", MANAGER, IMAGE)


class Deployed:
    """A copy of deploy/manager, whose project is this test's own; `ann` is an administrator of it."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder, self.project = folder / "manager", f"tidegate-test-{secrets.token_hex(4)}"
        self.backup, self.ann = folder / "backup", ""
        self.backup.mkdir(mode=0o700)
        shutil.copytree(ROOT / "deploy" / "manager", self.folder)
        own = f"COMPOSE_PROJECT_NAME={self.project}\nTIDEGATE_NETWORK={self.project}\nPOSTGRES_IMAGE={IMAGE}\n"
        free = "TIDEGATE_PUBLISH=127.0.0.1:18080-18089\n"
        (self.folder / ".env").write_text(f"{own}{free}POSTGRES_PASSWORD={json.dumps(SECRET)}\n", encoding="utf-8")
        self._env = os.environ | {"COMPOSE_FILE": FILES[database], "BACKUP": str(self.backup)}

    def runs(self, script: str, *, check: bool = True) -> str:
        """Run a script of sh beside the files; what it prints."""
        command = ["sh", "-eu", "-c", script]
        done = subprocess.run(
            command, cwd=self.folder, env=self._env, capture_output=True, text=True, check=False, timeout=200
        )
        assert done.returncode == 0 or not check, f"{script}: {done.stderr}{self.said()}"
        return done.stdout

    def said(self) -> str:
        """What its containers have printed, on both outputs."""
        return self.runs("docker compose logs --no-color --tail 30 2>&1", check=False)

    def tidegate(self, words: str, replica: int = 1) -> str:
        """`tidegate WORDS` in the manager's container."""
        self._env["TIDEGATE_TOKEN"] = self.ann
        return self.runs(f"docker compose exec -T --index {replica} -e TIDEGATE_TOKEN manager tidegate {words}")

    def windows(self, replica: int = 1) -> list[str]:
        """The names of the windows that it knows."""
        return [one["name"] for one in json.loads(self.tidegate("window list --json", replica))]

    def kept(self, file: str = "", replica: int = 1) -> str:
        """What a file of the data folder holds; without one, the names of all."""
        words = ["cat", f"{DATA}/{file}"] if file else ["ls", DATA]
        return docker("exec", f"{self.project}-manager-{replica}", *words)

    def asked(self, path: str, replica: int = 1) -> int:
        """The status that a replica answers with at its published port; 0: none."""
        place = self.runs(f"docker compose port --index {replica} manager 8080").strip()
        try:
            with urllib.request.urlopen(f"http://{place}{path}", timeout=AWAY_S) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def comes_back(self) -> None:
        """Wait until it can do its work."""
        wait_for(lambda: self.asked("/readyz") == 200, "the manager is ready", limit_s=120)


@pytest.fixture
def deployed(request: pytest.FixtureRequest, _images: None, tmp_path: Path) -> Iterator[Deployed]:
    """A manager that is up, on the database that is named."""
    one = Deployed(tmp_path, request.param)
    try:
        one.runs("docker compose up -d --wait")
        one.ann = one.tidegate("manager create-token ann --role admin").strip()
        yield one
    finally:
        Compose(tmp_path, one.project).clean()


@pytest.mark.parametrize("deployed", ["postgres"], indirect=True)
def test_on_postgresql_it_outlives_all_that_its_pages_speak_of(deployed: Deployed) -> None:
    assert deployed.kept().split() == ["signing.key"]  # the database is elsewhere
    _restarts_in_either_order(deployed)
    _says_so_while_postgresql_is_gone(deployed)
    _restores_what_was_backed_up(deployed, mark="postgres")
    _restores_on_a_new_machine(deployed, "postgres", "docker compose create", "docker compose up -d --wait postgres")
    _takes_a_new_image(deployed, "--scale manager=2")
    _two_replicas_know_the_same(deployed)
    assert SECRET not in deployed.runs("docker compose logs --no-color 2>&1; docker compose top")


@pytest.mark.parametrize("deployed", ["sqlite"], indirect=True)
def test_on_sqlite_it_outlives_all_that_its_pages_speak_of(deployed: Deployed) -> None:
    _restores_what_was_backed_up(deployed, mark="tidegate.db")
    _restores_on_a_new_machine(deployed, "tidegate.db", "docker compose create")
    _takes_a_new_image(deployed, "")
    deployed.runs("docker compose down; docker compose up -d --wait")
    assert deployed.windows() == ["before"]


@pytest.mark.usefixtures("_images")
def test_without_a_password_nothing_is_started(tmp_path: Path) -> None:
    one = Deployed(tmp_path, "postgres")
    file = one.folder / ".env"
    file.write_text(file.read_text(encoding="utf-8").partition("POSTGRES_PASSWORD")[0], encoding="utf-8")
    assert "the password of the database" in one.runs("docker compose up -d 2>&1 || echo refused")
    assert Compose(one.folder, one.project).ids() == set()


def _restarts_in_either_order(deployed: Deployed) -> None:
    for service in ("manager", "postgres", "postgres", "manager"):
        deployed.runs(f"docker compose restart {service}")
        deployed.comes_back()


def _says_so_while_postgresql_is_gone(deployed: Deployed) -> None:
    restarts = inspect(f"{deployed.project}-manager-1")["RestartCount"]
    deployed.runs("docker compose kill postgres")
    assert [deployed.asked("/readyz") for _ in range(2)] == [503, 503]
    assert deployed.asked("/healthz") == 200
    deployed.runs("docker compose start postgres")
    deployed.comes_back()
    assert inspect(f"{deployed.project}-manager-1")["RestartCount"] == restarts


def _restores_what_was_backed_up(deployed: Deployed, mark: str) -> None:
    back_up, restore = (one for one in GUIDE if mark in one)
    deployed.tidegate("window add before '0 2 * * * 4h'")
    key = deployed.kept("signing.key")
    deployed.runs(back_up)
    assert {path.stat().st_mode & 0o077 for path in deployed.backup.iterdir()} == {0}
    deployed.tidegate("window add after '0 2 * * * 4h' --yes")
    docker("exec", f"{deployed.project}-manager-1", "rm", f"{DATA}/signing.key")
    deployed.runs(restore)
    assert deployed.windows() == ["before"]
    assert deployed.kept("signing.key") == key
    deployed.tidegate("audit verify")


def _restores_on_a_new_machine(deployed: Deployed, mark: str, *first: str) -> None:
    """Nothing but files, settings and the backup are there; `first` is what the page begins with."""
    _, restore = (one for one in GUIDE if mark in one)
    assert set(first) <= set(spans_of(ROOT / "docs" / "manager-operations.md"))
    deployed.runs("docker compose down --volumes")
    for command in first:
        deployed.runs(command)
    deployed.runs(restore)
    assert deployed.windows() == ["before"]


def _takes_a_new_image(deployed: Deployed, words: str) -> None:
    before = inspect(f"{deployed.project}-manager-1")["Image"]
    agent_image.build(MANAGER, of=agent_image.MANAGER, labels={"newer": deployed.project})
    deployed.runs(f"docker compose up -d --wait {words}")
    assert inspect(f"{deployed.project}-manager-1")["Image"] != before
    assert deployed.windows() == ["before"]


def _two_replicas_know_the_same(deployed: Deployed) -> None:
    assert [deployed.asked("/readyz", replica) for replica in (1, 2)] == [200, 200]
    assert deployed.kept("signing.key", replica=1) == deployed.kept("signing.key", replica=2)
    assert deployed.windows(replica=2) == ["before"]
