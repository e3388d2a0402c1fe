"""Speaking with the manager: logging in, what is tried again, what is refused, and what is never shown."""

import asyncio
import json
import os
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Run
from tests.support.fleet_fake import FakeManager, answers, breaks_off, on, times
from tests.support.fleet_world import ORCHESTRATOR, World
from tests.support.registry_tls import make_certificates

PROBLEM = "application/problem+json"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config/tidegate/config.json"


@pytest.fixture
def nobody(as_user: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that names neither a manager nor a token."""
    assert as_user
    monkeypatch.delenv("TIDEGATE_MANAGER_URL")
    monkeypatch.delenv("TIDEGATE_TOKEN")


def token_file(tmp_path: Path, token: str) -> str:
    file = tmp_path / "token"
    file.write_text(token + "\n")
    return str(file)


@pytest.mark.usefixtures("nobody")
def test_a_login_is_kept_where_only_its_owner_can_read_it_and_used_from_then_on(
    run: Run, world: World, tmp_path: Path, config: Path
) -> None:
    ended = run("login", world.url + "/", "--token-file", token_file(tmp_path, world.token("viewer", "eve")))
    assert ended.code == 0
    assert "You are eve (viewer)" in ended.out
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert run("targets").code == 0


@pytest.mark.usefixtures("nobody")
def test_a_login_that_is_given_up_is_kept_nowhere(run: Run, world: World, tmp_path: Path, config: Path) -> None:
    run("login", world.url, "--token-file", token_file(tmp_path, world.token("viewer")))
    ended = run("logout")
    assert (ended.code, ended.err) == (0, "")
    assert str(config) in ended.out
    assert not config.exists()
    assert run("targets").code == 2
    assert "No login is kept" in run("logout").out


@pytest.mark.usefixtures("nobody", "manager")
def test_a_login_is_given_up_for_its_own_address_only(run: Run, world: World, tmp_path: Path, config: Path) -> None:
    run("login", world.url, "--token-file", token_file(tmp_path, world.token("viewer")))
    assert "No login for https://tidegate.example.com" in run("logout", "https://tidegate.example.com").out
    assert config.exists()
    assert run("logout", f"{world.url}/api/v1/").code == 0
    assert not config.exists()


@pytest.mark.usefixtures("nobody", "manager")
def test_a_login_that_cannot_be_read_can_be_given_up(run: Run, config: Path) -> None:
    config.parent.mkdir(parents=True)
    config.write_text("{")
    assert run("logout").code == 0
    assert not config.exists()


@pytest.mark.usefixtures("manager")
def test_a_token_that_the_environment_still_has_is_told_of(run: Run) -> None:
    assert "TIDEGATE_TOKEN" in run("logout").err


@pytest.mark.usefixtures("nobody")
def test_a_token_that_the_manager_does_not_know_is_not_kept(
    run: Run, world: World, tmp_path: Path, config: Path
) -> None:
    ended = run("login", world.url, "--token-file", token_file(tmp_path, "tg_9_wrong"))
    assert ended.code == 4
    assert not config.exists()
    assert "tg_9_wrong" not in ended.out + ended.err


@pytest.mark.usefixtures("nobody")
def test_a_kept_token_is_not_shown_to_another_manager(
    run: Run, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("login", world.url, "--token-file", token_file(tmp_path, world.token("viewer")))
    with FakeManager() as other:
        monkeypatch.setenv("TIDEGATE_MANAGER_URL", other.url)
        ended = run("targets")
        assert ended.code == 2
        assert "No token for" in ended.err
        assert other.requests == []


@pytest.mark.usefixtures("nobody", "manager")
def test_without_a_login_it_is_told_how_to_log_in(run: Run) -> None:
    ended = run("targets")
    assert ended.code == 2
    assert "tidegate login URL" in ended.err


@pytest.mark.usefixtures("nobody")
def test_a_login_that_others_can_read_is_told(run: Run, world: World, tmp_path: Path, config: Path) -> None:
    run("login", world.url, "--token-file", token_file(tmp_path, world.token("viewer")))
    config.chmod(0o644)
    assert f"chmod 600 {config}" in run("targets").err


@pytest.mark.usefixtures("manager")
@pytest.mark.parametrize("url", ["manager.example", "ftp://x", "https://ann:secret@x", "https://", "https://x?a=b"])
def test_what_is_no_managers_address_is_refused_without_the_password_in_it(run: Run, url: str) -> None:
    ended = run("login", url)
    assert ended.code == 2
    assert "no manager's address" in ended.err
    assert "secret" not in ended.err


@pytest.mark.usefixtures("manager")
@pytest.mark.parametrize("text", ["", "two words", "tg_1_ü", "tg_1_x\ny z"])
def test_a_file_without_a_token_is_refused_without_what_is_in_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    monkeypatch.delenv("TIDEGATE_TOKEN")
    monkeypatch.setenv("TIDEGATE_TOKEN_FILE", token_file(tmp_path, text))
    ended = run("targets")
    assert ended.code == 2
    assert "TIDEGATE_TOKEN_FILE" in ended.err
    assert not text or text not in ended.err


def test_a_token_comes_from_the_input_where_that_is_asked_for(
    run: Run, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TIDEGATE_TOKEN")
    with Path(token_file(tmp_path, world.token("viewer", "eve"))).open() as text:
        monkeypatch.setattr(sys, "stdin", text)
        assert "You are eve" in run("login", world.url, "--token-file", "-").out


@pytest.mark.usefixtures("manager")
def test_a_manager_that_is_not_there_is_exit_code_3(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_MANAGER_URL", "http://127.0.0.1:1")
    ended = run("targets")
    assert ended.code == 3
    assert "http://127.0.0.1:1 is not reachable: Connection refused." in ended.err


def test_a_manager_that_does_not_answer_is_waited_for_as_long_as_is_said(run: Run, manager: FakeManager) -> None:
    manager.faults.append(on("GET", "/targets", _silent))
    ended = run("targets", "--timeout", "0.2")
    assert ended.code == 3
    assert "did not answer within 0.2 s" in ended.err


async def _silent(request: object, handler: object) -> None:
    del request, handler
    await asyncio.sleep(3)


def test_a_read_is_tried_again_when_the_manager_cannot_answer_now(run: Run, manager: FakeManager) -> None:
    manager.faults.append(times(2, answers(503)))
    assert run("targets").code == 0


def test_a_manager_that_cannot_answer_is_exit_code_3_with_what_it_says(run: Run, manager: FakeManager) -> None:
    problem = json.dumps({"detail": "The database is locked.", "status": 503})
    manager.faults.append(answers(503, problem, PROBLEM))
    ended = run("targets")
    assert ended.code == 3
    assert "The database is locked." in ended.err


def test_a_write_is_not_tried_again_when_the_manager_says_that_it_cannot(run: Run, manager: FakeManager) -> None:
    manager.faults.append(on("POST", "/rollouts", answers(503)))
    assert run("rollout", "start", ORCHESTRATOR, "2").code == 3
    assert [one.method for one in manager.requests].count("POST") == 1


def test_a_write_whose_answer_was_lost_is_sent_again_under_the_same_key_and_done_once(
    run: Run, manager: FakeManager
) -> None:
    manager.faults.append(on("POST", "/rollouts", times(1, breaks_off)))
    assert run("rollout", "start", ORCHESTRATOR, "2").code == 0
    keys = [one.headers["Idempotency-Key"] for one in manager.requests if one.method == "POST"]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert len(manager.state.rollouts) == 1


def test_every_write_has_a_key_of_its_own(run: Run, manager: FakeManager) -> None:
    for version in ("2", "1"):
        run("rollout", "start", ORCHESTRATOR, version)
    keys = [one.headers["Idempotency-Key"] for one in manager.requests if one.method == "POST"]
    assert len(set(keys)) == 2


def test_a_write_that_is_still_being_done_is_waited_for(run: Run, manager: FakeManager) -> None:
    problem = json.dumps({"detail": "It is still being done.", "code": "idempotency-running", "status": 409})
    manager.faults.append(on("POST", "/rollouts", times(1, answers(409, problem, PROBLEM))))
    assert run("rollout", "start", ORCHESTRATOR, "2").code == 0


def test_a_new_token_whose_answer_was_lost_is_to_be_revoked(run: Run, manager: FakeManager) -> None:
    manager.faults.append(on("POST", "/tokens", answers(201, '{"id": 5, "user": "bob"}', "application/json")))
    ended = run("token", "create", "bob", "viewer")
    assert ended.code == 1
    assert "`tidegate token revoke 5`" in ended.err


def test_an_edit_that_somebody_else_was_quicker_with_is_refused(run: Run, manager: FakeManager) -> None:
    problem = json.dumps({"detail": "It was changed meanwhile; read it again.", "code": "stale", "status": 412})
    manager.faults.append(on("PUT", "/policies", answers(412, problem, PROBLEM)))
    ended = run("policy", "set", ORCHESTRATOR, "soak=1m")
    assert ended.code == 1
    assert "changed meanwhile" in ended.err


def test_a_redirect_is_not_followed_with_the_token(run: Run, manager: FakeManager) -> None:
    with FakeManager() as other:
        manager.faults.append(answers(307, Location=f"{other.url}/api/v1/targets"))
        ended = run("targets")
        assert ended.code == 1
        assert f"sends us on to {other.url}" in ended.err
        assert other.requests == []


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (200, "<html>", "text/html"),
        (200, "{", "application/json"),
        (404, "no", "text/plain"),
        (200, "[]", "application/json"),
    ],
)
def test_what_is_no_manager_is_told(run: Run, manager: FakeManager, status: int, text: str, kind: str) -> None:
    manager.faults.append(answers(status, text, kind))
    ended = run("targets")
    assert ended.code == 1
    assert manager.url in ended.err


def test_a_problem_is_shown_with_its_fields_and_what_is_accepted(run: Run, manager: FakeManager) -> None:
    errors = [{"field": "state", "message": "there is no such state"}]
    problem = {"detail": "This cannot be asked.", "errors": errors, "accepted": ["running", "paused"], "status": 422}
    manager.faults.append(answers(422, json.dumps(problem), PROBLEM))
    assert run("rollout", "list").err.splitlines() == [
        "tidegate: This cannot be asked.",
        "tidegate:   state: there is no such state",
        "tidegate:   accepted: running, paused",
    ]


def test_the_token_is_never_shown(run: Run, manager: FakeManager) -> None:
    token = os.environ["TIDEGATE_TOKEN"]
    manager.faults.append(answers(500, "", "text/plain"))
    ended = run("targets")
    assert ended.code == 1
    assert token not in ended.out + ended.err


def test_a_manager_behind_a_path_is_asked_there(
    run: Run, manager: FakeManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_MANAGER_URL", f"{manager.url}/tidegate/api/v1/")
    run("targets")
    assert manager.requests[-1].path.startswith("/tidegate/api/v1/targets?")


@pytest.mark.usefixtures("manager")
def test_a_proxy_of_the_environment_is_not_used_for_this_machine(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert run("targets").code == 0


@pytest.mark.usefixtures("manager")
def test_a_managers_own_authority_is_trusted_where_its_file_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate, authority.key)
    with FakeManager(ssl=context) as one:
        monkeypatch.setenv("TIDEGATE_MANAGER_URL", one.url)
        monkeypatch.setenv("TIDEGATE_TOKEN", one.token("viewer"))
        distrusted = run("targets")
        assert distrusted.code == 3
        assert "TIDEGATE_MANAGER_CA" in distrusted.err
        monkeypatch.setenv("TIDEGATE_MANAGER_CA", str(authority.authority))
        assert run("targets").code == 0
    monkeypatch.setenv("TIDEGATE_MANAGER_CA", str(tmp_path / "none"))
    assert run("targets").code == 2


@pytest.mark.usefixtures("manager")
def test_https_of_what_speaks_http_is_told_so_and_not_as_a_certificate(
    run: Run, manager: FakeManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_MANAGER_URL", manager.url.replace("http:", "https:"))
    ended = run("targets")
    assert ended.code == 3
    assert "does not answer with TLS" in ended.err
    assert "certificate" not in ended.err


def test_where_in_a_body_a_value_was_is_not_told_to_who_wrote_a_command(run: Run, manager: FakeManager) -> None:
    errors = [{"field": "body.user", "message": "it takes letters"}]
    problem = {"detail": "body.user: it takes letters", "errors": errors, "status": 422}
    manager.faults.append(answers(422, json.dumps(problem), PROBLEM))
    assert run("targets").err == "tidegate: user: it takes letters\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["clusters", "show", "zzz"], "`tidegate clusters` lists them."),
        (["channels", "show", "zzz"], "`tidegate channels` lists them."),
        (["quarantine", "add", "0a35"], "six or more digits"),
        (["quarantine", "release", "0a35"], "six or more digits"),
        (["agents", "revoke", "zzz"], "`tidegate agents` lists them."),
        (["window", "remove", "zzz"], "`tidegate window list` lists them."),
    ],
)
def test_a_name_that_nothing_is_near_to_is_told_with_where_to_look(
    run: Run, world: World, words: list[str], told: str
) -> None:
    assert world
    ended = run(*words)
    assert ended.code == 1
    assert told in ended.err


def _program(stdout: int, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tidegate", *words], stdout=stdout, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.usefixtures("manager", "run")
@pytest.mark.parametrize("words", [["targets"], ["targets", "--json"], ["--help"]], ids=" ".join)
def test_an_output_that_is_full_is_told_in_a_line(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full, _program(full.fileno(), *words) as ended:
        assert ended.stderr
        assert ended.stderr.read() == "tidegate: the output cannot be written: No space left on device.\n"
    assert ended.returncode == 1


def test_an_interruption_before_a_command_has_begun_leaves_no_traceback(tmp_path: Path) -> None:
    # as a library that is imported would be interrupted
    (tmp_path / "rich").mkdir()
    (tmp_path / "rich" / "__init__.py").write_text("raise KeyboardInterrupt\n")
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-m", "tidegate", "targets"]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "")
