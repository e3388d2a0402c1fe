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
from pathlib import Path

import pytest
from tests.support.absent import cannot
from tests.support.fleet_fake import FakeManager, answers, on
from tests.support.fleet_world import World

from tidegate.cli.bash_words import begun_part, glued
from tidegate.cli.fleet import complete

ENTER, TAB = b"\n", b"\t"


class Shell:
    """An interactive shell with the program's completion."""

    def __init__(self, command: Sequence[str], ready: Sequence[str], **more: str) -> None:
        self._main, terminal = pty.openpty()
        environ = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
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
        deadline = time.monotonic() + 20
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
def bash(as_user: object, manager: object) -> Iterator[Shell]:
    assert as_user
    assert manager
    quiet = "bind 'set enable-bracketed-paste off'"
    one = Shell(["bash", "--norc", "--noprofile", "-i"], [quiet, 'eval "$(tidegate --show-completion)"'])
    yield one
    one.close()


@pytest.fixture
def zsh(as_user: object, manager: object, tmp_path: Path) -> Iterator[Shell]:
    """One that was started after `tidegate --install-completion`."""
    assert as_user
    assert manager
    if shutil.which("zsh") is None:
        cannot("zsh is not here")
    (tmp_path / ".zfunc").mkdir()
    installed = "fpath+=~/.zfunc; tidegate --show-completion > ~/.zfunc/_tidegate"
    one = Shell(["zsh", "-f", "-i"], [installed, "autoload -Uz compinit; compinit -u"], HOME=str(tmp_path))
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
def test_fish_completes_names(tmp_path: Path, begun: str, whole: str) -> None:
    if shutil.which("fish") is None:
        cannot("fish is not here")
    asked = f"tidegate --show-completion | source; complete --do-complete '{begun}'"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
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
