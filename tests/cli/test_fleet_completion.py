"""Completion: names that the manager has, in real shells, and nothing where it does not answer."""

import asyncio
import os
import pty
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import cast, get_args

import pytest
import typer
from tests.cli.conftest import Run
from tests.support.absent import cannot
from tests.support.fleet_fake import FakeManager, answers, on
from tests.support.fleet_world import WEB, World

from tidegate.cli.bash_words import begun_part, glued
from tidegate.cli.fleet import complete
from tidegate.cli.fleet.commands import add_fleet_commands

Parameter = typer.core.TyperArgument | typer.core.TyperOption
ENTER, TAB = b"\n", b"\t"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a manager may take longer than somebody at a prompt would wait."""
    monkeypatch.setattr(complete, "PATIENCE_S", 30.0)


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where shells look for programs; there is a `tidegate` that is as patient."""
    program = tmp_path_factory.mktemp("bin") / "tidegate"
    lines = (
        f"#!{sys.executable}",
        "from tidegate.cli.fleet import complete",
        "complete.PATIENCE_S = 30.0",
        "from tidegate.__main__ import main",
        "main()",
    )
    program.write_text("\n".join(lines))
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


class Shell:
    """An interactive shell with the program's completion."""

    def __init__(self, command: Sequence[str], ready: Sequence[str], path: str, **more: str) -> None:
        self._main, terminal = pty.openpty()
        environ = os.environ | {
            "PATH": path,
            "PS1": "ready> ",
            "TERM": "dumb",
            **more,
        }
        self._process = subprocess.Popen(
            command,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=environ,
            start_new_session=True,
        )
        os.close(terminal)
        for line in ready:
            self._until("ready> ")
            self._type(line.encode() + ENTER)
        self._type(b'echo loa""ded' + ENTER)
        self._until("loaded")

    def complete(self, begun: str, whole: str) -> str:
        """What stands there once TAB was typed after `begun`; waits for `whole`."""
        self._type(begun.encode() + TAB)
        return self._until(whole)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._main)

    def _type(self, keys: bytes) -> None:
        os.write(self._main, keys)

    def _until(self, wanted: str) -> str:
        written = ""
        deadline = time.monotonic() + 60
        os.set_blocking(self._main, False)
        while wanted not in drawn(written) and time.monotonic() < deadline:
            try:
                written += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r|\x07", "", os.read(self._main, 65536).decode())
            except BlockingIOError:
                time.sleep(0.02)
        assert wanted in drawn(written), written
        return drawn(written)


def drawn(written: str) -> str:
    """What stands there once a terminal has gone back over what was written."""
    shown: list[str] = []
    at = 0
    for letter in written:
        if letter == "\b":
            at -= 1
        else:
            shown[at : at + 1] = letter
            at += 1
    return "".join(shown)


@pytest.fixture
def bash(as_user: object, manager: object, path: str) -> Iterator[Shell]:
    assert as_user
    assert manager
    quiet = "bind 'set enable-bracketed-paste off'"
    one = Shell(["bash", "--norc", "--noprofile", "-i"], [quiet, 'eval "$(tidegate --show-completion)"'], path)
    yield one
    one.close()


@pytest.fixture
def zsh(as_user: object, manager: object, path: str, tmp_path: Path) -> Iterator[Shell]:
    """One that was started after `tidegate --install-completion`."""
    assert as_user
    assert manager
    if shutil.which("zsh") is None:
        cannot("zsh is not here")
    (tmp_path / ".zfunc").mkdir()
    installed = "fpath+=~/.zfunc; tidegate --show-completion > ~/.zfunc/_tidegate"
    one = Shell(["zsh", "-f", "-i"], [installed, "autoload -Uz compinit; compinit -u"], path, HOME=str(tmp_path))
    yield one
    one.close()


@pytest.mark.parametrize(
    ("begun", "whole"),
    [
        ("tidegate targets show auto", "show autonomy@berlin1/orchestrator "),
        ("tidegate targets show autonomy@ber", "show autonomy@berlin1/orchestrator "),
        ("tidegate targets show autonomy@", "show autonomy@berlin1/orchestrator "),
        ("tidegate targets --channel nginx:", "--channel nginx:1 "),
        ("tidegate targets --channel ngin", "--channel nginx:1 "),
        ("tidegate rollout start ghcr.io/acme/web:la", "start ghcr.io/acme/web:latest "),
        ("tidegate agents revoke pa", "revoke paris1 "),
        ("tidegate token create ann appr", "ann approver "),
        ("tidegate rollout wat", "rollout watch "),
        ("tidegate clusters --label ri", "--label ring=early "),
        ("tidegate clusters --label ring=", "--label ring=early "),
        ("tidegate clusters --label ring=ea", "--label ring=early "),
    ],
)
def test_bash_completes_names(bash: Shell, begun: str, whole: str) -> None:
    assert whole in bash.complete(begun, whole)


@pytest.mark.parametrize(
    ("begun", "whole"),
    [
        ("tidegate targets show autonomy@ber", "show autonomy@berlin1/orchestrator "),
        ("tidegate targets --channel nginx:", "--channel nginx:1 "),
        ("tidegate rollout wat", "rollout watch "),
    ],
)
def test_zsh_completes_names_at_the_first_tab(zsh: Shell, begun: str, whole: str) -> None:
    assert whole in zsh.complete(begun, whole)


@pytest.mark.usefixtures("as_user", "manager")
@pytest.mark.parametrize(
    ("begun", "whole"),
    [
        ("tidegate targets show autonomy@ber", "autonomy@berlin1/orchestrator"),
        ("tidegate targets --channel nginx:", "nginx:1"),
        ("tidegate rollout wat", "watch"),
    ],
)
def test_fish_completes_names(tmp_path: Path, path: str, begun: str, whole: str) -> None:
    if shutil.which("fish") is None:
        cannot("fish is not here")
    asked = f"tidegate --show-completion | source; complete --do-complete '{begun}'"
    environ = os.environ | {"PATH": path, "HOME": str(tmp_path)}
    told = subprocess.run(["fish", "--no-config", "-c", asked], env=environ, capture_output=True, text=True, check=True)
    assert whole in told.stdout.split()


@pytest.mark.parametrize(
    ("words", "at", "whole"),
    [
        (["tidegate", "targets", "show", "a", "@", "b/c"], 5, (["tidegate", "targets", "show", "a@b/c"], 3)),
        (["tidegate", "x", "ghcr.io/a", ":"], 3, (["tidegate", "x", "ghcr.io/a:"], 2)),
        (["tidegate", "x", "a", ":", "b", "c"], 5, (["tidegate", "x", "a:b", "c"], 3)),
        (["tidegate", "x", "a", ":", "b"], 5, (["tidegate", "x", "a:b"], 3)),
        (["tidegate", ""], 1, (["tidegate", ""], 1)),
        (["tidegate", "x", "--label", "a", "=", "b"], 5, (["tidegate", "x", "--label", "a=b"], 3)),
        (["tidegate", "x", "--label", "a", "="], 4, (["tidegate", "x", "--label", "a="], 3)),
        (["tidegate", "x", "--to", "=", "a"], 4, (["tidegate", "x", "--to", "=", "a"], 4)),
    ],
)
def test_bashs_words_are_put_together_again(words: list[str], at: int, whole: tuple[list[str], int]) -> None:
    assert glued(words, at) == whole


@pytest.mark.parametrize(
    ("whole", "word", "part"),
    [
        ("a/b:c", "c", "a/b:"),
        ("a/b:", ":", "a/b:"),
        ("a@b/c", "b/c", "a"),
        ("a@", "@", "a"),
        ("a=b", "b", "a="),
        ("a=", "=", "a="),
        ("a@b/c", "a@b/c", ""),
        ("plain", "plain", ""),
        ("", "", ""),
    ],
)
def test_bash_is_not_given_again_what_it_has(whole: str, word: str, part: str) -> None:
    assert begun_part(whole, word) == part


@pytest.mark.usefixtures("as_user")
def test_a_release_is_completed_by_its_version_or_its_digest(world: World) -> None:
    digest = world.digest("ghcr.io/acme/web:latest", "2")
    assert complete.complete_release("2") == ["2"]
    assert complete.complete_release(digest[:12]) == [digest]
    assert complete.complete_release(digest[7:15]) == [digest[7:]]


@pytest.mark.usefixtures("as_user")
def test_a_channel_is_completed_as_it_was_begun() -> None:
    assert complete.complete_channel("ngi") == ["nginx:1"]
    assert complete.complete_channel("docker.io/") == ["docker.io/library/nginx:1"]


@pytest.mark.usefixtures("as_user", "manager")
@pytest.mark.parametrize("page", ["500", "70"])
def test_the_last_of_many_is_completed_too(world: World, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    for number in range(300):
        world.host(f"host{number:03}", {"shop/web": (WEB, "1")})
    monkeypatch.setattr(complete, "_PAGE", page)
    assert complete.complete_cluster("shop@host299") == ["shop@host299"]
    assert len(complete.complete_agent("host")) == 300
    assert complete.complete_target("shop@host29") == [f"shop@host{number}/web" for number in range(290, 300)]


@pytest.mark.usefixtures("as_user", "manager")
def test_what_is_told_in_time_is_completed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        world.host(f"host{number}", {"shop/web": (WEB, "1")})
    monkeypatch.setattr(complete, "_PAGE", "4")
    monkeypatch.setattr(complete, "_MOST_PAGES", 2)
    assert len(complete._items("clusters", complete._MOST_PAGES)) == 8


@pytest.mark.usefixtures("as_user")
def test_what_is_taken_away_or_revoked_is_completed(run: Run, world: World) -> None:
    for words in (
        ("window", "add", "nights", "0 2 * * * 4h"),
        ("freeze", "add", "year-end", "--from", "2026-12-20", "--to", "2027-01-03"),
        ("quarantine", "add", "2", "--channel", WEB, "--yes"),
        ("token", "create", "bob", "viewer", "--name", "phone"),
        ("token", "create", "bob", "viewer", "--name", "phone-lost"),
        ("token", "revoke", "phone-lost"),
    ):
        ended = run(*words)
        assert ended.code == 0, ended.err
    assert complete.complete_window("nig") == ["nights"]
    assert complete.complete_freeze("year") == ["year-end"]
    assert complete.complete_token("ph") == ["phone"]
    digest = world.digest(WEB, "2")
    (number,) = complete.complete_quarantined("")
    assert complete.complete_quarantined(digest[:12]) == [digest]
    assert run("quarantine", "release", number, "--yes").code == 0


@pytest.mark.usefixtures("as_user")
def test_labels_users_alerts_and_what_the_audit_log_has_are_completed(run: Run, world: World) -> None:
    world.alert()
    for words in (
        ("agents", "enrol", "rome1"),
        ("token", "create", "bob", "viewer"),
        ("rollout", "start", WEB, "2", "-y"),
    ):
        ended = run(*words)
        assert ended.code == 0, ended.err
    assert complete.complete_label("ri") == ["ring=early"]
    assert complete.complete_user("bo") == ["bob"]
    assert complete.complete_enrolment("ro") == ["rome1"]
    assert [number for number, _ in complete.complete_alert("")] == ["1"]
    assert complete.complete_actor("an") == ["ann"]
    assert [one.split()[0] for one in complete.complete_subject("rollout ")] == ["rollout"]
    assert complete.complete_zone("Europe/Berl") == ["Europe/Berlin"]
    assert run("agents", "withdraw", "rome1").code == 0
    assert complete.complete_enrolment("") == []


NAMES = {
    "AGENT": "complete_agent",
    "ALERT": "complete_alert",
    "CHANNEL": "complete_channel",
    "CLUSTER": "complete_cluster",
    "NAME=VALUE": "complete_label",
    "RELEASE": "complete_release",
    "ROLE": "_roles",
    "ROLLOUT": "complete_rollout",
    "TARGET": "complete_target",
    "WHAT": "complete_anything",
    "window remove which": "complete_window",
    "window list name": "complete_window",
    "freeze remove which": "complete_freeze",
    "freeze list name": "complete_freeze",
    "freeze add zone": "complete_zone",
    "quarantine release which": "complete_quarantined",
    "agents withdraw which": "complete_enrolment",
    "token revoke which": "complete_token",
    "token list user": "complete_user",
    "audit list actor": "complete_actor",
    "audit list action": "complete_action",
    "audit list subject": "complete_subject",
}
"""What completes a parameter: by its metavar, or by its command where that says less."""
OWN_WORDS = {"reason", "expires", "out"}
"""Parameters of any command that are one's own words."""
NO_LIST = {
    "login url",
    "login token_file",
    "logout url",
    "policy set settings",
    "rollout start not_before",
    "window add name",
    "window add when",
    "freeze add name",
    "freeze add start",
    "freeze add end",
    "freeze add lasts",
    "agents enrol name",
    "token create user",
    "token create name",
}
"""What is new, or is nothing that the manager has."""
NO_JSON = {"login", "logout"}
"""Commands that print no document of the manager's."""


def commands() -> Iterator[tuple[str, typer.core.TyperCommand]]:
    """All that speak with a manager, as they are written."""
    fleet = typer.Typer()
    add_fleet_commands(fleet)
    for name, one in typer.main.get_command(fleet).commands.items():  # type: ignore[attr-defined]
        yield from ((f"{name} {verb}", it) for verb, it in getattr(one, "commands", {}).items())
        if not hasattr(one, "commands"):
            yield name, one


def parameters() -> Iterator[tuple[str, Parameter]]:
    """Those that take a word, but for those that take one of a few, a number or a file."""
    for command, it in commands():
        for one in cast("list[Parameter]", it.params):
            if one.type_descriptor.annotation in {str, list[str]} or (one.metavar in NAMES and not _is_choice(one)):
                yield f"{command} {one.name}", one


def _is_choice(one: Parameter) -> bool:
    kinds = (one.type_descriptor.annotation, *get_args(one.type_descriptor.annotation))
    return any(isinstance(kind, type) and issubclass(kind, Enum) for kind in kinds)


def _completed_by(one: Parameter) -> str | None:
    if one._custom_shell_complete is None:
        return None
    cells = one._custom_shell_complete.__closure__ or ()
    (found,) = re.findall(r"<function (\w+) ", str([cell.cell_contents for cell in cells]))
    return str(found)


def test_every_parameter_that_names_something_is_completed_with_names_of_its_kind() -> None:
    wanted, found = dict[str, str | None](), dict[str, str | None]()
    for name, one in parameters():
        found[name] = _completed_by(one)
        without = name in NO_LIST or one.name in OWN_WORDS
        wanted[name] = None if without else NAMES.get(name) or NAMES.get(one.metavar or "", "a list, or a line here")
    assert found == wanted
    assert NO_LIST - set(found) == set()


def test_every_command_prints_json_when_it_is_asked_to() -> None:
    without = {name for name, one in commands() if not any("--json" in it.opts for it in one.params)}
    assert without == NO_JSON


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize("fault", [answers(503), answers(401), answers(200, "<html>", "text/html"), None])
def test_completion_is_silent_where_the_manager_does_not_answer(
    manager: FakeManager,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: object,
) -> None:
    if fault is None:
        monkeypatch.setenv("TIDEGATE_MANAGER_URL", "http://127.0.0.1:1")
    else:
        manager.faults.append(fault)  # type: ignore[arg-type]
    assert complete.complete_target("") == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("as_user")
def test_completion_does_not_wait_for_long(manager: FakeManager, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(request: object, handler: object) -> None:
        del request, handler
        await asyncio.sleep(60)

    monkeypatch.setattr(complete, "PATIENCE_S", 0.1)
    manager.faults.append(on("GET", "/targets", never))
    begun = time.monotonic()
    assert complete.complete_target("") == []
    assert time.monotonic() - begun < 5
