import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tidegate.registry.credential import Credential, CredentialsUnusableError
from tidegate.registry.credentials import ConfiguredCredentials, credentials_from, engine_auth

HUB_KEY = "https://index.docker.io/v1/"
SECRET = "swordfish"


def encoded(pair: str) -> str:
    return base64.b64encode(pair.encode()).decode()


AUTH = encoded(f"bob:{SECRET}")


def runs(pid_file: Path) -> bool:
    """Whether the process that wrote its id there is still there; one that had no time to write is not."""
    pid = pid_file.read_text().strip() if pid_file.exists() else ""
    return bool(pid) and Path(f"/proc/{pid}").exists()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


async def found(path: Path, document: dict[str, Any], registry: str) -> Credential | None:
    path.write_text(json.dumps(document))
    return await ConfiguredCredentials(config_file=path).credential(registry)


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A helper called `test` on the PATH; its text is the body of a shell script."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    program = tmp_path / "docker-credential-test"
    program.touch(0o755)
    return program


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("ghcr.io", "ghcr.io"),
        ("https://ghcr.io", "ghcr.io"),
        ("https://ghcr.io/v2/", "ghcr.io"),
        ("http://host:5000/", "host:5000"),
        (HUB_KEY, "docker.io"),
        ("docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
    ],
)
async def test_an_account_is_found_under_every_key_docker_writes(config: Path, key: str, registry: str) -> None:
    account = await found(config, {"auths": {key: {"auth": AUTH}}}, registry)
    assert account == Credential("bob", SECRET, source=str(config))


async def test_an_account_of_another_port_is_not_taken(config: Path) -> None:
    assert await found(config, {"auths": {"host:5000": {"auth": AUTH}}}, "host:5001") is None


async def test_the_exact_key_is_stronger_than_an_address(config: Path) -> None:
    auths = {"https://ghcr.io/v1/": {"auth": encoded("old:x")}, "ghcr.io": {"auth": AUTH}}
    account = await found(config, {"auths": auths}, "ghcr.io")
    assert account is not None
    assert account.username == "bob"


async def test_a_username_and_password_may_be_written_plainly(config: Path) -> None:
    account = await found(config, {"auths": {"r": {"username": "bob", "password": SECRET}}}, "r")
    assert account == Credential("bob", SECRET, source=str(config))


async def test_a_password_may_have_colons(config: Path) -> None:
    account = await found(config, {"auths": {"r": {"auth": encoded("bob:a:b:c")}}}, "r")
    assert account is not None
    assert account.password == "a:b:c"


async def test_an_identity_token_is_taken_with_its_empty_password(config: Path) -> None:
    entry = {"auth": encoded("bob:"), "identitytoken": SECRET}
    account = await found(config, {"auths": {"r": entry}}, "r")
    assert account == Credential("bob", "", SECRET, str(config))


@pytest.mark.parametrize("document", [{}, {"auths": {}}, {"auths": None}, {"auths": {"r": {}}}])
async def test_no_account_is_nobody(config: Path, document: dict[str, Any]) -> None:
    assert await found(config, document, "r") is None


async def test_no_file_is_nobody(config: Path) -> None:
    assert await ConfiguredCredentials(config_file=config).credential("r") is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"auths": ["r"]}',
        '{"auths": {"r": "x"}}',
        '{"auths":{"r":{"auth":"?"}}}',
        '{"auths":{"r":{"auth":"päss"}}}',
        '{"credsStore": 7}',
        '{"credHelpers": {"r": ["x"]}}',
        "[" * 100_000,
    ],
    ids=lambda text: text[:40],
)
async def test_a_file_that_cannot_be_used_is_named(config: Path, text: str) -> None:
    config.write_text(text, encoding="utf-8")
    with pytest.raises(CredentialsUnusableError, match=str(config)):
        await ConfiguredCredentials(config_file=config).credential("r")


async def test_a_bad_secret_is_not_shown(config: Path) -> None:
    with pytest.raises(CredentialsUnusableError) as caught:
        await found(config, {"auths": {"r": {"auth": encoded(SECRET)}}}, "r")
    assert SECRET not in repr(caught.value.args) + repr(caught.value.__cause__)


async def test_repo_user_and_pass_are_stronger_than_the_file(config: Path) -> None:
    config.write_text(json.dumps({"auths": {"r": {"auth": AUTH}}}))
    account = await ConfiguredCredentials("alice", "pw", config).credential("r")
    assert account == Credential("alice", "pw", source="REPO_USER and REPO_PASS")


async def test_a_user_without_a_password_is_not_an_account(config: Path) -> None:
    assert await ConfiguredCredentials("alice", "", config).credential("r") is None


async def test_the_environment_names_the_folder(config: Path) -> None:
    config.write_text(json.dumps({"auths": {"r": {"auth": AUTH}}}))
    account = await credentials_from({"DOCKER_CONFIG": str(config.parent), "HOME": "/nowhere"}).credential("r")
    assert account is not None


async def test_the_file_is_under_home_by_default(tmp_path: Path) -> None:
    assert credentials_from({"HOME": str(tmp_path)}).config_file == tmp_path / ".docker/config.json"


async def test_a_store_is_asked_for_the_registry(config: Path, helper: Path) -> None:
    helper.write_text('#!/bin/sh\nread s; echo "{\\"Username\\": \\"$1\\", \\"Secret\\": \\"$s\\"}"')
    account = await found(config, {"credsStore": "test"}, "ghcr.io")
    assert account == Credential("get", "ghcr.io", source="docker-credential-test")


async def test_a_store_knows_docker_hub_by_its_legacy_key(config: Path, helper: Path) -> None:
    helper.write_text('#!/bin/sh\nread s; echo "{\\"Username\\": \\"u\\", \\"Secret\\": \\"$s\\"}"')
    account = await found(config, {"credsStore": "test"}, "docker.io")
    assert account is not None
    assert account.password == HUB_KEY


async def test_a_helper_of_the_registry_is_stronger_than_the_store(config: Path, helper: Path) -> None:
    helper.write_text('#!/bin/sh\necho \'{"Username": "u", "Secret": "s"}\'')
    document = {"credsStore": "missing", "credHelpers": {"ghcr.io": "test"}}
    assert await found(config, document, "ghcr.io") is not None


async def test_a_helper_may_give_an_identity_token(config: Path, helper: Path) -> None:
    helper.write_text('#!/bin/sh\necho \'{"Username": "<token>", "Secret": "s"}\'')
    account = await found(config, {"credsStore": "test"}, "r")
    assert account is not None
    assert (account.identity_token, account.password) == ("s", "")


async def test_a_helper_that_knows_nothing_leaves_it_to_the_file(config: Path, helper: Path) -> None:
    helper.write_text("#!/bin/sh\necho credentials not found in native keychain; exit 1")
    document = {"credsStore": "test", "auths": {"r": {"auth": AUTH}}}
    account = await found(config, document, "r")
    assert account is not None
    assert account.source == str(config)


async def test_a_helper_that_fails_is_told_with_its_words(config: Path, helper: Path) -> None:
    helper.write_text("#!/bin/sh\necho the vault is sealed; exit 3")
    with pytest.raises(CredentialsUnusableError, match=r"failed for r \(exit code 3\): the vault is"):
        await found(config, {"credsStore": "test"}, "r")


async def test_a_helper_that_is_not_there_says_what_to_do(config: Path) -> None:
    with pytest.raises(CredentialsUnusableError, match=r"docker-credential-absent cannot be run .*; install it"):
        await found(config, {"credsStore": "absent"}, "r")


async def test_a_helper_that_is_not_there_leaves_it_to_the_file_and_is_told_once(config: Path) -> None:
    document = {"credsStore": "absent", "auths": {"r": {"auth": AUTH}}}
    config.write_text(json.dumps(document))
    provider = ConfiguredCredentials(config_file=config)
    with capture_logs() as logs:
        accounts = [await provider.credential("r") for _ in range(2)]
    assert accounts == [Credential("bob", SECRET, source=str(config))] * 2
    (told,) = logs
    assert "docker-credential-absent cannot be run" in told["reason"]


async def test_a_helper_that_answers_nonsense_does_not_leak_it(config: Path, helper: Path) -> None:
    helper.write_text(f"#!/bin/sh\necho {SECRET}")
    with pytest.raises(CredentialsUnusableError, match="not an account") as caught:
        await found(config, {"credsStore": "test"}, "r")
    assert SECRET not in str(caught.value)


async def test_a_helper_that_hangs_is_ended(config: Path, helper: Path, tmp_path: Path) -> None:
    helper.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid; exec sleep 60")
    config.write_text('{"credsStore": "test"}')
    provider = ConfiguredCredentials(config_file=config, helper_timeout_s=0.5)
    with pytest.raises(CredentialsUnusableError, match=r"did not answer within 0\.5 s"):
        await provider.credential("r")
    assert not runs(tmp_path / "pid")


async def test_a_helpers_name_cannot_be_a_path(config: Path) -> None:
    with pytest.raises(CredentialsUnusableError, match="not a credential helper's name"):
        await found(config, {"credsStore": "../evil"}, "r")


def test_secrets_stay_out_of_repr() -> None:
    shown = repr([Credential("bob", SECRET, SECRET, "s"), ConfiguredCredentials("bob", SECRET)])
    assert SECRET not in shown


@pytest.mark.parametrize(
    ("credential", "registry", "expected"),
    [
        (Credential("bob", "päss?>"), "r", {"username": "bob", "password": "päss?>", "serveraddress": "r"}),
        (Credential("bob", "p"), "docker.io", {"username": "bob", "password": "p", "serveraddress": HUB_KEY}),
        (Credential("", "", "tok"), "r", {"identitytoken": "tok", "serveraddress": "r"}),
    ],
)
def test_the_engine_gets_the_account_as_base64url_json(
    credential: Credential, registry: str, expected: dict[str, str]
) -> None:
    assert json.loads(base64.urlsafe_b64decode(engine_auth(credential, registry))) == expected


async def test_a_cancelled_question_ends_the_helper(config: Path, helper: Path, tmp_path: Path) -> None:
    helper.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid; exec sleep 60")
    config.write_text('{"credsStore": "test"}')
    question = asyncio.create_task(ConfiguredCredentials(config_file=config).credential("r"))
    async with asyncio.timeout(40):
        while not runs(tmp_path / "pid"):
            await asyncio.sleep(0.01)
    question.cancel()
    with pytest.raises(asyncio.CancelledError):
        await question
    assert not runs(tmp_path / "pid")
