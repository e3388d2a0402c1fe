"""Ending a demo that was left running ends nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import demo_kept


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("PID", "LOG", "READY"):
        monkeypatch.setattr(demo_kept, name, tmp_path / name)
    return tmp_path


GROUND = """
import pathlib, sys, time
print("The manager answers at http://127.0.0.1:4711", *sys.argv[1:2], sys.argv[-1], flush=True)
print("ann (admin): a-token", flush=True)
pathlib.Path(__file__).with_name("READY").touch()
time.sleep(60)
"""


def test_one_that_is_left_running_tells_where_it_is_and_its_tokens(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = files / "ground.py"
    ground.write_text(GROUND, encoding="utf-8")
    monkeypatch.setattr(demo_kept, "_GROUND", str(ground))
    begun, popen = list["subprocess.Popen[bytes]"](), subprocess.Popen

    def begin(*words: Any, **more: Any) -> subprocess.Popen[bytes]:
        begun.append(popen(*words, **more))
        return begun[0]

    monkeypatch.setattr("demo_kept.subprocess.Popen", begin)
    try:
        assert demo_kept.begin([]) == 0
        told = capsys.readouterr().out.splitlines()
        assert told == ["The manager answers at http://127.0.0.1:4711 run --keep", "ann (admin): a-token"]
        assert begun[0].poll() is None
    finally:
        demo_kept.end()
    assert begun[0].wait(10) == -15


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("told", ["", "no number", "999999999", "this test"])
def test_what_is_not_a_demo_is_left_alone_and_the_note_of_it_is_gone(told: str) -> None:
    demo_kept.PID.write_text(str(os.getpid()) if told == "this test" else told, encoding="utf-8")
    demo_kept.end()
    assert not demo_kept.PID.exists()


def test_one_that_was_left_running_is_ended_and_what_it_told_is_gone(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "import time; print(flush=True); time.sleep(60)"
    words = [sys.executable, "-c", code, demo_kept._GROUND]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        demo_kept.PID.write_text(str(process.pid), encoding="utf-8")
        demo_kept.LOG.write_text("ann (admin): a token", encoding="utf-8")
        demo_kept.end()
        assert process.wait(10) == -15
    assert "has ended" in capsys.readouterr().out
    assert list(files.iterdir()) == []
