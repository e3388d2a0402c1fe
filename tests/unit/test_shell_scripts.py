"""Shell scripts of the repository have no fault that shellcheck knows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.pages import ROOT

SHELLCHECK = Path(sys.executable).parent / "shellcheck"
SHEBANGS = (b"#!/bin/sh", b"#!/bin/bash", b"#!/usr/bin/env bash", b"#!/usr/bin/env sh")
FETCHED = {".git", ".venv", ".ground", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "dist"}


def shell_scripts() -> list[Path]:
    """Every file of the repository that begins as a shell script does."""
    tops = [path for path in ROOT.iterdir() if path.name not in FETCHED]
    files = [file for top in tops for file in ([top] if top.is_file() else top.rglob("*")) if file.is_file()]
    return sorted(file for file in files if file.read_bytes().partition(b"\n")[0].rstrip() in SHEBANGS)


def test_the_scripts_are_found() -> None:
    found = {str(path.relative_to(ROOT)) for path in shell_scripts()}
    assert {".ci/run", "scripts/python-on-ground", "scripts/orchestrator_cluster_autoupdate.sh"} <= found


@pytest.mark.parametrize("script", shell_scripts(), ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    done = subprocess.run([SHELLCHECK, "--norc", "--color=never", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
