"""The pipeline's steps as docs/pipeline.md has them: the example's orchestrator is built, pushed and published."""

from __future__ import annotations

import http.server
import json
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support import watchtower, workflow
from tests.support.docker import docker, inspect
from tests.support.pages import blocks
from tests.support.pipeline import BUILD, Pipeline, checkout
from tests.support.registry import Registry
from tests.support.waiting import status, wait_for

from tidegate.domain.webhook import is_signed

BY_HAND, AGAIN, BACK = (block.text for block in blocks("sh") if block.page == "pipeline.md")
FILES = ("docker-compose.yml", "docker-compose.edge.yml")
LOGIN_AND_BUILD = "scripts/pipeline/login >/dev/null && scripts/pipeline/build"
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def pipeline(password_registry: Registry, repository: str, tmp_path: Path) -> Pipeline:
    return checkout(tmp_path / "pipeline", password_registry, repository)


def told(output: str) -> dict[str, str]:
    """What became of each tag, by the JSON at the end."""
    document = json.loads(output[output.rindex("\n{\n") :])
    return {one["tag"]: one["what"] for one in document["tags"]}


def test_the_commands_by_hand_make_a_release_and_repeated_they_build_nothing(pipeline: Pipeline) -> None:
    first = pipeline.commit()
    assert told(pipeline.play(BY_HAND)) == {f"autonomy-{first}": "set", "autonomy-latest": "set"}
    digest = pipeline.digest("autonomy-latest")
    assert digest == pipeline.digest(f"autonomy-{first}")
    again = pipeline.run(BY_HAND)
    assert (again.returncode, "is not built again" in again.stderr) == (0, True)
    environ = {"CHANNEL": "autonomy-latest", "REVISION": first}
    assert told("\n" + pipeline.play(AGAIN, **environ)) == {f"autonomy-{first}": "kept", "autonomy-latest": "kept"}

    second = pipeline.commit()
    assert told(pipeline.play(BY_HAND, SOURCE_DATE_EPOCH="4102444800")) == {
        f"autonomy-{second}": "set",
        "autonomy-latest": "moved",
    }
    assert pipeline.run(AGAIN, **environ).returncode == 3
    pipeline.play(BACK, **environ)
    assert pipeline.digest("autonomy-latest") == digest


@contextmanager
def telling(secret: str) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """A manager's webhook: its address, and what it was told with a signature by the secret."""
    told: list[dict[str, object]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if is_signed(body, self.headers["X-Hub-Signature-256"], secret):
                told.append(json.loads(body))
            self.send_response(202)
            self.end_headers()
            self.wfile.write(b'{"channels": []}')

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", told
        finally:
            server.shutdown()


def test_the_workflow_releases_what_the_example_follows_and_tells_the_manager(
    password_registry: Registry, tmp_path: Path
) -> None:
    owner, secret = f"Test-{secrets.token_hex(4)}", secrets.token_hex(8)
    pipeline = checkout(tmp_path / "pipeline", password_registry, f"{owner.lower()}/orchestrator")
    revision = pipeline.commit()
    with telling(secret) as (manager, heard):
        facts = {
            "github.repository_owner": owner,
            "github.repository": f"{owner}/autonomy",
            "github.server_url": "https://github.com",
            "github.sha": revision,
            "github.actor": password_registry.user,
            "github.token": password_registry.password,
            "vars.TIDEGATE_MANAGER_URL": manager,
            "secrets.TIDEGATE_WEBHOOK_SECRET": secret,
        }
        printed = workflow.play(pipeline, facts, tmp_path)
    built = printed["build: scripts/pipeline/build"].strip()
    published = json.loads(printed["publish: scripts/pipeline/publish"])
    assert {one["tag"]: one["what"] for one in published["tags"]} == {
        f"autonomy-{revision}": "set",
        "autonomy-latest": "set",
    }
    assert published["labels"]["source"] == f"https://github.com/{owner}/autonomy"
    assert published["labels"]["revision"] == revision
    assert pipeline.digest("autonomy-latest") == pipeline.digest(f"autonomy-{revision}") == built
    assert heard == [{"image": f"{pipeline.environ['IMAGE']}:autonomy-latest", "digest": built}]


def test_what_is_built_serves_and_says_what_it_is(pipeline: Pipeline) -> None:
    revision = pipeline.commit()
    output = pipeline.run(LOGIN_AND_BUILD, **BUILD | {"REVISION": revision})
    assert output.returncode == 0, output.stderr
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", output.stdout)
    image = f"{pipeline.environ['IMAGE']}@{output.stdout.strip()}"
    pipeline.play(f"docker pull -q {image}")
    container = docker("run", "-d", "--label", "tidegate.enable=false", "-p", "127.0.0.1::8000", image)
    address = docker("port", container, "8000")
    try:
        wait_for(lambda: inspect(container)["State"]["Health"]["Status"] == "healthy", "it is healthy")
        labels = inspect(container)["Config"]["Labels"]
        assert labels["org.opencontainers.image.revision"] == revision
        assert f"version {revision[:7]} serves" in docker("logs", container)
        assert status(address, "/ready") == 200
        docker("exec", container, "sh", "-c", drain_hook())
        assert (status(address, "/ready"), status(address, "/healthz")) == (503, 200)
        docker("stop", container)
        assert inspect(container)["State"]["ExitCode"] == 0
    finally:
        docker("rm", "-f", "-v", container)
        docker("image", "rm", "-f", image)


def drain_hook() -> str:
    """What the example has the orchestrator told before it goes."""
    words = ["compose", *(word for name in FILES for word in ("-f", str(watchtower.EXAMPLE / name)))]
    config = json.loads(docker(*words, "config", "--format", "json"))
    return str(config["services"]["orchestrator"]["labels"]["tidegate.hook.drain"])


def test_a_build_that_fails_pushes_nothing_and_prints_no_digest(pipeline: Pipeline, tmp_path: Path) -> None:
    environ = BUILD | {"REVISION": pipeline.commit(), "GITHUB_OUTPUT": str(tmp_path / "output")}
    done = pipeline.run(LOGIN_AND_BUILD, **environ | {"CONTEXT": "examples"})
    assert (done.returncode != 0, done.stdout, (tmp_path / "output").exists()) == (True, "", False)
    assert pipeline.digest("built") is None


def test_a_wrong_password_is_refused_and_not_shown(pipeline: Pipeline) -> None:
    done = pipeline.run("scripts/pipeline/login", REGISTRY_PASSWORD="hunter2")
    assert (done.returncode != 0, "hunter2" in done.stdout + done.stderr) == (True, False)


def test_what_comes_after_has_the_digest_and_whether_it_was_built_or_found(pipeline: Pipeline, tmp_path: Path) -> None:
    output = tmp_path / "output"
    environ = BUILD | {"REVISION": pipeline.commit(), "GITHUB_OUTPUT": str(output)}
    digest = pipeline.play(LOGIN_AND_BUILD, **environ)
    assert output.read_text(encoding="utf-8") == f"digest={digest}built=true\n"
    output.unlink()
    pipeline.play("scripts/pipeline/publish", DIGEST=digest.strip(), **environ)
    assert pipeline.play(LOGIN_AND_BUILD, **environ) == digest
    assert output.read_text(encoding="utf-8") == f"digest={digest}built=false\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("git -c user.name=a -c user.email=a@a.test commit -q --allow-empty -m two", "and what is checked out here is"),
        ("echo >>examples/autonomy/orchestrator/Dockerfile", "Dockerfile"),
        ("echo >examples/autonomy/orchestrator/more", "orchestrator/more"),
    ],
)
def test_what_is_not_the_commit_is_not_built_under_its_name(pipeline: Pipeline, change: str, said: str) -> None:
    environ = BUILD | {"REVISION": pipeline.commit()}
    pipeline.play(change)
    done = pipeline.run(LOGIN_AND_BUILD, **environ)
    assert (done.returncode, done.stdout) == (1, "")
    assert ("nothing was built" in done.stderr, said in done.stderr) == (True, True), done.stderr
    assert pipeline.digest("built") is None
