"""What the ground takes from Debian, and from the machine."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from groundwork import base, packages
from groundwork.paths import GroundError

ROOT_USER, ORDINARY_USER = 0, 1000


class Apt:
    """apt-get on a machine whose package lists are absent until they are refreshed."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, command: list[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        del cwd
        (verb,) = {"install", "download", "update"} & set(command)
        self.asked.append(verb)
        return subprocess.CompletedProcess(command, 0 if "update" in self.asked else 100, "", "E: Unable to locate")


@pytest.fixture
def apt(monkeypatch: pytest.MonkeyPatch) -> Apt:
    fresh = Apt()
    monkeypatch.setattr(packages, "_run", fresh)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(os, "geteuid", lambda: ROOT_USER)
    return fresh


def test_package_lists_that_are_absent_are_fetched(apt: Apt) -> None:
    packages.apt_get(["install", "gcc"])
    assert apt.asked == ["install", "update", "install"]


def test_package_lists_that_do_are_left_alone(apt: Apt) -> None:
    apt.asked = ["update"]
    packages.apt_get(["install", "gcc"])
    assert apt.asked == ["update", "install"]


def test_an_ordinary_user_refreshes_lists_of_their_own_only(apt: Apt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: ORDINARY_USER)
    with pytest.raises(GroundError, match="Unable to locate"):
        packages.apt_get(["download", "runc"])
    assert apt.asked == ["download", "download"]
    packages.apt_get(["download", "runc"], lists=["-o", "Dir::State=/mine"])
    assert apt.asked[2:] == ["download", "update", "download"]


def test_the_agents_base_is_made_where_the_package_lists_are_absent(apt: Apt, tmp_path: Path) -> None:
    assert base._download(tmp_path) == []
    assert apt.asked == ["install", "update", "install"]


def elf(*kinds: int) -> bytes:
    """A 64-bit ELF file with program headers of these kinds."""
    header = bytearray(64)
    header[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<Q", header, 32, 64)
    struct.pack_into("<HH", header, 54, 56, len(kinds))
    return bytes(header) + b"".join(struct.pack("<I", kind) + bytes(52) for kind in kinds)


@pytest.mark.parametrize(
    ("content", "usable"), [(elf(1, 1), True), (elf(1, 3, 1), False), (b"#!/bin/sh\n", False)], ids=str
)
def test_a_busybox_of_the_machine_is_used_only_where_it_runs_without_libraries(
    content: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, usable: bool
) -> None:
    program = tmp_path / "busybox"
    program.write_bytes(content)
    program.chmod(0o755)
    monkeypatch.setattr(packages, "unpacked", lambda release: tmp_path / release)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert packages.busybox() == (program if usable else None)


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What is downloaded by a ground in which every part but cosign, PostgreSQL, HAProxy and Prometheus is unpacked."""
    asked: list[str] = []

    def apt_get(words: list[str], *, cwd: Path, **_: object) -> None:
        asked.extend(words[1:])
        (cwd / "it.deb").touch()

    for release, names in packages.UNPACKED.items():
        (tmp_path / release).mkdir()
        (tmp_path / release / ".packages").write_text("\n".join(names))
    monkeypatch.setattr(packages, "HOME", tmp_path)
    monkeypatch.setattr(packages, "unpacked", lambda folder: tmp_path / folder)
    monkeypatch.setattr(packages, "apt_get", apt_get)
    monkeypatch.setattr(packages, "must", lambda command: Path(command[-1]).mkdir())
    monkeypatch.setattr(packages, "find", lambda program: None if program.endswith("cosign") else tmp_path / program)
    for done_already in ("_install_tools", "_compile_app", "require_debian", "is_debian", "_has_compose", "busybox"):
        monkeypatch.setattr(packages, done_already, lambda *_: True)
    monkeypatch.setattr(packages, "_options_for", lambda _: [])
    monkeypatch.setattr(packages, "_codename", lambda: "bookworm")
    return asked


def test_a_ground_fetches_the_parts_that_it_lacks_and_those_once(downloads: list[str]) -> None:
    packages.install(["bookworm"])
    packages.install(["trixie"])
    assert downloads == ["cosign", *packages.POSTGRES, *packages.HAPROXY, *packages.PROMETHEUS]


def test_so_does_one_on_an_engine_that_runs_already(downloads: list[str]) -> None:
    packages.install_for_existing_engine()
    assert downloads == ["cosign", *packages.POSTGRES, *packages.HAPROXY, *packages.PROMETHEUS]


@pytest.mark.parametrize("engine", ["private", "existing"])
@pytest.mark.usefixtures("downloads")
def test_root_has_what_lines_of_the_pages_are_played_with(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    wanted: set[str] = set()
    monkeypatch.setattr(packages, "_install_tools", wanted.update)
    monkeypatch.setattr(os, "geteuid", lambda: ROOT_USER)
    if engine == "private":
        packages.install(["bookworm"])
    else:
        packages.install_for_existing_engine()
    assert {"curl", "jq", "zsh", "fish"} <= wanted


def test_an_engine_where_there_is_no_apt_does_without(downloads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "is_debian", lambda: False)
    packages.install_for_existing_engine()
    assert downloads == []
