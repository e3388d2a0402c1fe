"""Shell scripts of the repository have no fault that shellcheck knows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.pages import ROOT

SHELLCHECK = Path(sys.executable).parent / "shellcheck"
SHEBANGS = (b"#!/bin/sh", b"#!/bin/bash", b"#!/usr/bin/env bash", b"#!/usr/bin/env sh")


def shell_scripts() -> list[Path]:
    """Every file under version control that begins as a shell script does."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [file for file in files if file.is_file() and file.open("rb").readline().rstrip() in SHEBANGS]


def test_the_scripts_are_found() -> None:
    found = {str(path.relative_to(ROOT)) for path in shell_scripts()}
    assert {".ci/run", "scripts/python-on-ground", "scripts/orchestrator_cluster_autoupdate.sh"} <= found


@pytest.mark.parametrize("script", shell_scripts(), ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    done = subprocess.run([SHELLCHECK, "--norc", "--color=never", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
