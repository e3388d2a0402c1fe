"""How cosign is run: arguments, account, environment, time limit; and what its exit codes mean."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.waiting import wait_for

from tidegate.agent.cosign import Cosign, CosignError, Trouble, arguments
from tidegate.domain.reference import parse_reference
from tidegate.domain.signature_policy import SignatureRule
from tidegate.registry.credential import Credential

DIGEST = "sha256:" + "a" * 64
WEB = parse_reference(f"ghcr.io/acme/web@{DIGEST}")
BY_KEY = SignatureRule("*", "", key="/keys/acme.pub")
KEYLESS = SignatureRule("*", "", identity="me@acme.test", issuer="https://acme.test", transparency_log=False)
ROBOT = Credential("robot", "tide-and-time")


def program(folder: Path, script: str) -> dict[str, str]:
    """An environment in which cosign is this shell script."""
    file = folder / "bin" / "cosign"
    file.parent.mkdir()
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return {"PATH": f"{file.parent}:{os.environ['PATH']}"}


def cosign_for(tmp_path: Path, environ: Mapping[str, str], **options: Any) -> Cosign:
    return Cosign(environ, tmp_path / "scratch", **options)


async def failure(cosign: Cosign, image: str = str(WEB)) -> CosignError:
    with pytest.raises(CosignError) as caught:
        await cosign.verify(BY_KEY, parse_reference(image))
    return caught.value


def test_an_image_is_verified_by_its_digest_with_a_key() -> None:
    assert arguments(BY_KEY, WEB, ()) == [
        "verify",
        "--output=json",
        "--key=/keys/acme.pub",
        f"ghcr.io/acme/web@{DIGEST}",
    ]


def test_a_certificate_is_verified_by_its_identity_and_issuer_and_the_log_may_be_left_out() -> None:
    assert arguments(KEYLESS, WEB, ())[2:-1] == [
        "--certificate-identity=me@acme.test",
        "--certificate-oidc-issuer=https://acme.test",
        "--insecure-ignore-tlog=true",
    ]


@pytest.mark.parametrize(
    ("image", "insecure", "plain"),
    [
        ("localhost:5000/x", ("localhost:5000",), False),
        ("127.0.0.1:5000/x", (), False),
        ("reg.test:5000/x", (), False),
        ("reg.test:5000/x", ("reg.test:5000",), True),
        ("reg.test:5000/x", ("reg.test",), True),
        ("redis", (), False),
    ],
)
def test_only_a_registry_that_is_listed_as_insecure_is_asked_without_tls(
    image: str, insecure: tuple[str, ...], *, plain: bool
) -> None:
    words = arguments(BY_KEY, parse_reference(image).with_digest(DIGEST), insecure)
    assert ("--allow-insecure-registry=true" in words) is plain


async def test_it_returns_what_cosign_prints(tmp_path: Path) -> None:
    cosign = cosign_for(tmp_path, program(tmp_path, 'echo "$@"; echo a warning >&2'))
    assert (await cosign.verify(BY_KEY, WEB)).split() == arguments(BY_KEY, WEB, ())


@pytest.mark.parametrize(
    ("code", "trouble"), [(10, Trouble.UNSIGNED), (12, Trouble.BY_OTHERS), (1, Trouble.UNKNOWN), (11, Trouble.UNKNOWN)]
)
async def test_exit_codes_tell_what_the_trouble_is(tmp_path: Path, code: int, trouble: Trouble) -> None:
    script = f"echo 'Error: no' >&2; echo 'main.go:74: error during command execution: no\n at all' >&2; exit {code}"
    error = await failure(cosign_for(tmp_path, program(tmp_path, script)))
    assert (error.trouble, error.why) == (trouble, "cosign says: no at all")


async def test_a_program_that_is_not_there_is_told_with_the_remedy(tmp_path: Path) -> None:
    error = await failure(cosign_for(tmp_path, {"PATH": str(tmp_path)}))
    assert (error.trouble, error.why) == (
        Trouble.UNKNOWN,
        "cosign cannot be run (No such file or directory): install it where the agent runs",
    )


@pytest.mark.parametrize("then", ["wait", "exit"])
async def test_one_that_hangs_is_ended_with_everything_it_has_started(tmp_path: Path, then: str) -> None:
    environ = program(tmp_path, f"sleep 300 & echo $! > {tmp_path}/helper; {then}")
    error = await failure(cosign_for(tmp_path, environ, limit_s=5))
    assert error.trouble is Trouble.UNKNOWN
    assert error.why.startswith("cosign did not answer within 5 s: see that its registry")
    helper = int((tmp_path / "helper").read_text())
    wait_for(lambda: not runs(helper), "the helper has ended", limit_s=60, every_s=0.01)


async def test_in_a_hurry_it_is_given_less_time(tmp_path: Path) -> None:
    cosign = cosign_for(tmp_path, program(tmp_path, "exec sleep 300"), limit_s=300, hurried_limit_s=0.2)
    with pytest.raises(CosignError, match=r"did not answer within 0.2 s"):
        await cosign.verify(BY_KEY, WEB, hurry=True)


def runs(pid: int) -> bool:
    """Whether a process is there, and not only its remains."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_dockers_configuration_is_the_agents(tmp_path: Path) -> None:
    environ = program(tmp_path, "echo $DOCKER_CONFIG") | {"DOCKER_CONFIG": "/from/environment"}
    assert (await cosign_for(tmp_path, environ).verify(BY_KEY, WEB)).strip() == "/from/environment"
    assert (await cosign_for(tmp_path, environ, docker_config=Path("/mine")).verify(BY_KEY, WEB)).strip() == "/mine"


@pytest.mark.parametrize(
    ("image", "server"), [("ghcr.io/acme/web", "ghcr.io"), ("redis", "https://index.docker.io/v1/")]
)
async def test_the_account_for_all_registries_is_in_a_private_file_that_is_gone_afterwards(
    tmp_path: Path, image: str, server: str
) -> None:
    script = 'stat -c "%a %n" $DOCKER_CONFIG $DOCKER_CONFIG/config.json; cat $DOCKER_CONFIG/config.json'
    cosign = cosign_for(tmp_path, program(tmp_path, script), account=ROBOT, docker_config=Path("/mine"))
    said = (await cosign.verify(BY_KEY, parse_reference(image).with_digest(DIGEST))).splitlines()
    assert [line.split()[0] for line in said[:2]] == ["700", "600"]
    assert json.loads(said[2]) == {"auths": {server: {"auth": "cm9ib3Q6dGlkZS1hbmQtdGltZQ=="}}}
    assert not Path(said[0].split()[1]).exists()


async def test_the_private_file_is_gone_also_where_cosign_fails(tmp_path: Path) -> None:
    script = f"echo $DOCKER_CONFIG > {tmp_path}/folder; exit 1"
    await failure(cosign_for(tmp_path, program(tmp_path, script), account=ROBOT))
    assert not Path((tmp_path / "folder").read_text().strip()).exists()


async def test_the_agents_secrets_are_neither_in_the_arguments_nor_in_the_environment(tmp_path: Path) -> None:
    environ = program(tmp_path, 'echo "$@"; env') | {
        "REPO_USER": "robot",
        "REPO_PASS": "tide-and-time",
        "WATCHTOWER_HTTP_API_TOKEN": "tide-and-time",
        "TIDEGATE_HTTP_API_TOKEN": "tide-and-time",
        "HTTPS_PROXY": "http://proxy.test:3128",
    }
    said = await cosign_for(tmp_path, environ, account=ROBOT).verify(BY_KEY, WEB)
    assert "tide-and-time" not in said
    assert "HTTPS_PROXY=http://proxy.test:3128" in said
    assert "tide-and-time" not in repr(cosign_for(tmp_path, environ, account=ROBOT))


async def test_the_registries_authority_is_trusted_too(tmp_path: Path) -> None:
    cosign = cosign_for(tmp_path, program(tmp_path, "echo $SSL_CERT_FILE"), ca_file=Path("/ca.pem"))
    assert (await cosign.verify(BY_KEY, WEB)).strip() == "/ca.pem"


async def test_an_account_that_cannot_be_put_by_is_told_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "scratch").write_text("a file")
    error = await failure(cosign_for(tmp_path, program(tmp_path, "exit 0"), account=ROBOT))
    assert error.why == (
        f"the account for cosign cannot be put by (File exists): make {tmp_path}/scratch writable for the agent"
    )


async def test_what_a_killed_agent_left_of_an_account_is_removed_and_nothing_else(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    for name, age_s in (("cosign-old", 3600), ("cosign-young", 0), ("other", 3600)):
        (scratch / name).mkdir(parents=True)
        (scratch / name / "config.json").write_text("{}")
        os.utime(scratch / name, (time.time() - age_s,) * 2)
    await cosign_for(tmp_path, program(tmp_path, "exit 0"), account=ROBOT).verify(BY_KEY, WEB)
    assert {folder.name for folder in scratch.iterdir()} == {"cosign-young", "other"}


async def test_an_agent_that_is_stopped_ends_it_too(tmp_path: Path) -> None:
    environ = program(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 300")
    task = asyncio.create_task(cosign_for(tmp_path, environ).verify(BY_KEY, WEB))
    file = tmp_path / "pid"
    while not (file.exists() and file.read_text().strip()):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not runs(int(file.read_text()))
