"""The deployment script reads .env as Compose does, for what it masks as for what it sets."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.support.deployment import SCRIPT

SECRETS = {
    "DB_PASSWORD=hunter33 # mine": "hunter33",
    'DB_PASSWORD="hunter 44" # x': "hunter 44",
    "DB_PASSWORD: hunter55": "hunter55",
    "DB_PASSWORD = hunter66": "hunter66",
    "export\tDB_PASSWORD=hunter77": "hunter77",
    "DB_PASSWORD=hunter88 \t": "hunter88",
    r'DB_PASSWORD="hunter\"99" # x': 'hunter"99',
    r"DB_PASSWORD='hunter\'99\d'": r"hunter'99\d",
    r'DB_PASSWORD="hunter\n1234"': "1234",
    "DB_PASSWORD=hunter$$10": "hunter$10",
    "DB_PASSWORD='hunter$$11'": "hunter$$$$11",  # as `config` shows it
    'DB_PASSWORD="hunter12': "hunter12",
    'OPEN="\nDB_PASSWORD=hunter13': "hunter13",
    'KEYS="one\nhunter14" # x': "hunter14",
    "DB PASSWORD=hunter15": "hunter15",
    "CACHE=redis://:p@hunter16@cache": "p@hunter16",
    "PAGE=https://hunter17@example.com": "hunter17@",
}


def call(folder: Path, words: str, told: str = "") -> str:
    """What `words`, with the functions of the script and this on standard input, print; `$env` is the folder's .env."""
    lines = f'source "$0" help >/dev/null; dir=$1 env=$1/.env; {words}'
    done = subprocess.run(["bash", "-c", lines, SCRIPT, folder], input=told, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("line", SECRETS, ids=SECRETS.get)
def test_a_secret_is_masked_however_its_line_is_written(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(f"{line}\nMODE=fast\n", encoding="utf-8")
    raw = line.splitlines()[-1].removeprefix("DB_PASSWORD=")
    told = call(tmp_path, "know_secrets; masked", f"bad {SECRETS[line]}, in fast\nsaid {raw}\n")
    assert ([one for one in ("hunter", SECRETS[line]) if one in told], "in fast\n" in told) == ([], True)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=one # c", "one"),
        ("A: one", "one"),
        ("A = 'one two' # c", "one two"),
        ('export A="one#two"\r', "one#two"),
        ("A=one#two", "one#two"),
        ('B="\nA=two\n"', ""),
        ("A=one\nA=two", "two"),
    ],
)
def test_a_value_is_what_compose_takes_for_it(tmp_path: Path, text: str, value: str) -> None:
    (tmp_path / ".env").write_text(f"{text}\n", encoding="utf-8", newline="")
    assert call(tmp_path, 'env_value A "$env"') == f"{value}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("A: one\nB=1\n", "A=two\nB=1\n"),
        ("export A = one\nA=1\nB=1\n", "A=two\nB=1\n"),
        ("#A=\nB=1\n", "A=two\nB=1\n"),
        ('B="\nA=1\n#A=\n"\nA="one\none"\nC=1\n', 'B="\nA=1\n#A=\n"\nA=two\nC=1\n'),
        ("B=1\n", "B=1\nA=two\n"),
        ('A="one\nB=1\nC=2\n', "A=two\nB=1\nC=2\n"),
    ],
)
def test_a_value_is_set_in_the_place_of_its_lines(tmp_path: Path, before: str, after: str) -> None:
    (tmp_path / ".env").write_text(before, encoding="utf-8")
    call(tmp_path, 'env_set A two "$env"')
    assert (tmp_path / ".env").read_text(encoding="utf-8") == after
