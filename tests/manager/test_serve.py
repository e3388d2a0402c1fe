"""The manager as a process: it starts, says what is wrong where it cannot, and ends soon when it is told to."""

import asyncio
import json
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import aiohttp
import pytest

from tidegate.manager.agents.keys import read_keys

LISTENS = re.compile(rb"the manager listens.* port=(\d+)")


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    return kept | {"TIDEGATE_DATA": str(tmp_path / "data"), "TIDEGATE_LISTEN": "127.0.0.1:0", **more}


def command(tmp_path: Path, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    program = [sys.executable, "-m", "tidegate", "manager", *words]
    return subprocess.run(
        program, env=environment(tmp_path, **more), capture_output=True, text=True, timeout=60, check=False
    )


@asynccontextmanager
async def process(tmp_path: Path, **more: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A manager, and its address."""
    program = (sys.executable, "-m", "tidegate", "manager", "serve")
    it = await asyncio.create_subprocess_exec(
        *program, env=environment(tmp_path, **more), stderr=asyncio.subprocess.PIPE
    )
    assert it.stderr is not None
    try:
        async with asyncio.timeout(120):
            while (found := LISTENS.search(line := await it.stderr.readline())) is None:
                assert line, "it has ended"
        yield it, f"http://127.0.0.1:{int(found[1])}"
    finally:
        if it.returncode is None:
            it.kill()
            await it.wait()


async def test_the_first_administrator_is_made_beside_the_database(tmp_path: Path) -> None:
    made = command(tmp_path, "create-token", "anna", "--role", "admin")
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    async with process(tmp_path) as (_, url), aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {token}"}
        async with session.get(f"{url}/api/v1/me", headers=headers) as got:
            me = await got.json()
        async with session.get(f"{url}/api/v1/audit", headers=headers) as got:
            entry = (await got.json())["items"][0]
    assert (me["user"], me["role"]) == ("anna", "admin")
    assert (entry["actor"], entry["source"], entry["action"]) == ("tidegate", "command line", "token.create")
    assert token not in str(entry)


def test_a_user_name_that_only_case_tells_from_another_is_refused(tmp_path: Path) -> None:
    assert command(tmp_path, "create-token", "anna", "--role", "admin").returncode == 0
    ended = command(tmp_path, "create-token", "Anna", "--role", "approver")
    assert (ended.returncode, "there is a user 'anna' already" in ended.stderr) == (2, True)


async def test_it_ends_soon_though_requests_are_under_way(tmp_path: Path) -> None:
    token = command(tmp_path, "create-token", "anna", "--role", "admin").stdout.strip()
    async with process(tmp_path, TIDEGATE_SHUTDOWN="1s") as (it, url):
        port = int(url.rpartition(":")[2])
        _, idle = await asyncio.open_connection("127.0.0.1", port)
        reader, busy = await asyncio.open_connection("127.0.0.1", port)
        who = f"Authorization: Bearer {token}"
        head = f"POST /api/v1/windows HTTP/1.1\r\nHost: x\r\n{who}\r\nContent-Length: 100\r\n\r\n{{"
        busy.write(head.encode())
        await busy.drain()
        async with aiohttp.ClientSession() as session:
            for _ in range(2):  # whoever is answered comes after those who were there before
                async with session.get(f"{url}/healthz") as got:
                    assert got.status == 200
        it.send_signal(signal.SIGTERM)
        async with asyncio.timeout(40):  # much less where nothing else runs
            assert await it.wait() == 0
            assert b"HTTP/1.1 503" in await reader.read()
        idle.close()
        busy.close()


async def test_the_worker_ends_with_the_server_however_that_ends(tmp_path: Path) -> None:
    async with process(tmp_path) as (it, _):
        worker = await worker_of(it)
        with os.fdopen(os.pidfd_open(worker)) as gone:  # readable once it has ended
            it.kill()
            await it.wait()
            ended = asyncio.Event()
            asyncio.get_running_loop().add_reader(gone, ended.set)
            async with asyncio.timeout(60):
                await ended.wait()
            asyncio.get_running_loop().remove_reader(gone)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_to_both_processes_ends_them_in_order(tmp_path: Path, number: signal.Signals) -> None:
    """As from a terminal, or from an init that ends all of a service."""
    async with process(tmp_path) as (it, _):
        worker = await worker_of(it)
        os.kill(worker, number)
        it.send_signal(number)
        async with asyncio.timeout(60):
            assert it.stderr is not None
            said = await it.stderr.read()
            assert await it.wait() == 0
    assert b"the manager has ended" in said
    assert b"failed" not in said
    assert not Path(f"/proc/{worker}").exists()


async def worker_of(server: asyncio.subprocess.Process) -> int:
    """Its process, once it is at work: signals are ignored from then on."""
    async with asyncio.timeout(60):
        while True:
            for one in Path(f"/proc/{server.pid}/task").glob("*/children"):
                for pid in one.read_text().split():
                    ignored = re.search(r"^SigIgn:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
                    assert ignored is not None
                    if int(ignored[1], 16) & 1 << signal.SIGTERM - 1:
                        return int(pid)
            await asyncio.sleep(0.02)


async def test_a_second_manager_on_one_file_does_not_start_and_other_commands_do(tmp_path: Path) -> None:
    async with process(tmp_path) as (it, url):
        link = tmp_path / "link"
        link.symlink_to(tmp_path / "data")
        second = command(tmp_path, "serve", TIDEGATE_DATABASE_URL=f"sqlite:///{link}/tidegate.db")
        assert (second.returncode, "only PostgreSQL takes several" in second.stderr) == (1, True)
        for words in (("migrate",), ("create-token", "anna", "--role", "admin"), ("rotate-key",)):
            told = command(tmp_path, *words)
            assert told.returncode == 0, told.stderr
        async with aiohttp.ClientSession() as session, session.get(f"{url}/readyz") as got:
            assert got.status == 200
        it.kill()
        await it.wait()
    async with process(tmp_path):
        pass  # the lock went with the process


async def test_what_it_keeps_is_for_nobody_else(tmp_path: Path) -> None:
    async with process(tmp_path):
        pass
    data = tmp_path / "data"
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in data.iterdir()}
    assert {name: modes[name] for name in ("tidegate.db", "signing.key")} == {
        "tidegate.db": 0o600,
        "signing.key": 0o600,
    }
    assert stat.S_IMODE(data.stat().st_mode) == 0o700


def test_settings_that_cannot_be_used_are_all_told(tmp_path: Path) -> None:
    told = command(tmp_path, "serve", TIDEGATE_LISTEN="x", TIDEGATE_DATABASE_URL="mysql://secret@h/x")
    assert told.returncode == 2
    assert re.findall(r"TIDEGATE_\w+", told.stderr) == ["TIDEGATE_DATABASE_URL", "TIDEGATE_LISTEN"]
    assert "secret" not in told.stderr


def test_a_data_folder_that_is_none_is_told_with_what_it_has_to_be(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    ended = command(tmp_path, "create-token", "anna", "--role", "admin")
    assert ended.returncode == 1
    assert f"{tmp_path / 'data'} cannot be used: File exists; TIDEGATE_DATA is a folder" in ended.stderr


def test_an_address_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = command(tmp_path, "serve", TIDEGATE_LISTEN=f"127.0.0.1:{port}")
    assert (told.returncode, told.stderr.splitlines()[-1]) == (
        1,
        f"tidegate: cannot listen at 127.0.0.1:{port}: Address already in use.",
    )


def test_a_server_that_is_not_there_is_told_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://tidegate:hard-to-guess@127.0.0.1:1/tidegate"
    told = command(tmp_path, "migrate", TIDEGATE_DATABASE_URL=url)
    assert (told.returncode, "does not answer" in told.stderr) == (1, True)
    assert "hard-to-guess" not in told.stderr


def test_a_signing_key_that_is_none_is_told_and_left_alone(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("no key")
    told = command(tmp_path, "serve", TIDEGATE_SIGNING_KEY=str(key))
    assert (told.returncode, "put the backup" in told.stderr) == (1, True)
    assert key.read_text() == "no key"


def test_to_migrate_tells_from_what_to_what(tmp_path: Path) -> None:
    first, again = command(tmp_path, "migrate"), command(tmp_path, "migrate")
    assert "it was at none" in first.stdout
    assert re.fullmatch(r"The database is at revision \w+\.\n", again.stdout)


def test_a_key_is_changed_and_the_one_before_is_kept(tmp_path: Path) -> None:
    command(tmp_path, "rotate-key")
    before = read_keys(tmp_path / "data/signing.key")
    told = command(tmp_path, "rotate-key")
    after = read_keys(tmp_path / "data/signing.key")
    assert after.public in told.stdout
    assert after.public != before.public
    assert after.known_as(before.public) is not None
    with sqlite3.connect(tmp_path / "data/tidegate.db") as conn:
        assert conn.execute("SELECT count(*) FROM audit WHERE action = 'key.rotate'").fetchone() == (2,)


def test_a_hold_in_place_of_another_tells_what_that_was(tmp_path: Path) -> None:
    for _ in range(2):
        assert command(tmp_path, "hold").returncode == 0
    with sqlite3.connect(tmp_path / "data/tidegate.db") as conn:
        entries = conn.execute(
            "SELECT before, after FROM audit WHERE action = 'freeze.create' ORDER BY number"
        ).fetchall()
    (first, first_after), (second, _) = ([json.loads(one or "null") for one in entry] for entry in entries)
    assert (first, second) == (None, first_after | {"id": 1})


def test_a_hold_stops_what_goes_back_and_says_so(tmp_path: Path) -> None:
    assert command(tmp_path, "migrate").returncode == 0
    with closing(sqlite3.connect(tmp_path / "data/tidegate.db")) as conn, conn:
        conn.execute(
            "INSERT INTO channels (name, repository, tag, policy, created_at)"
            " VALUES ('r:1', 'r', '1', '{}', '2026-11-25 12:00:00')"
        )
        conn.execute(
            "INSERT INTO rollouts (channel_id, digest, kind, state, requested_by, created_at, policy, counts)"
            " VALUES (1, 'sha256:b', 'update', 'rolling_back', 'ann', '2026-11-25 12:00:00', '{}', '{}')"
        )
    assert "Rollout 1 went back, and is stopped" in command(tmp_path, "hold").stdout


@pytest.mark.parametrize(
    "words", [["create-token", "anna", "--role", "root"], ["create-token", "a b", "--role", "admin"]]
)
def test_a_token_that_cannot_be_is_refused(tmp_path: Path, words: list[str]) -> None:
    told = command(tmp_path, *words)
    assert (told.returncode, told.stdout) == (2, "")


WITHOUT = """
import sys
sys.modules["fastapi"] = None
sys.argv = ["tidegate", "manager", "serve"]
from tidegate.__main__ import main
main()
"""


def test_without_the_managers_libraries_the_command_says_what_to_install(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", WITHOUT], env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    how = "pip install '.[manager]' in the folder of Tidegate's sources"
    says = f"tidegate: The manager is not installed here (fastapi is missing): {how}.\n"
    assert (told.returncode, told.stderr) == (1, says)


def test_help_names_every_setting(tmp_path: Path) -> None:
    told = command(tmp_path, "serve", "--help", COLUMNS="200")
    assert (told.returncode, told.stdout.count("\n  TIDEGATE_") > 20) == (0, True)
