"""`tidegate release labels`, in real repositories, and what the environment says."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.support.pages import ROOT
from tests.support.releasing import run

from tidegate import __version__
from tidegate.cli.fleet.errors import FleetError, UsageError
from tidegate.cli.release.labels import source_url
from tidegate.cli.release.settings import read_settings
from tidegate.cli.release.webhook import webhook_url

PREFIX = "org.opencontainers.image."


def git(folder: Path, *words: str) -> str:
    author = ["-c", "user.name=a", "-c", "user.email=a@a.test", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", "-C", folder, *author, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit, of a known time, and a remote whose address has an account in it."""
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("1", encoding="utf-8")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "one")
    git(tmp_path, "remote", "add", "origin", "https://robot:hunter2@git.test/acme/web.git")
    return tmp_path


async def test_labels_are_those_of_the_commit(checkout: Path) -> None:
    revision = git(checkout, "rev-parse", "HEAD")
    ended = await run("labels", "--folder", str(checkout), "--json")
    assert (ended.code, ended.err) == (0, "")
    assert ended.json == {
        f"{PREFIX}source": "https://git.test/acme/web",
        f"{PREFIX}revision": revision,
        f"{PREFIX}version": revision[:7],
        f"{PREFIX}created": git(checkout, "log", "-1", "--format=%cd", "--date=format-local:%Y-%m-%dT%H:%M:%SZ"),
    }


async def test_they_are_words_for_docker_build(checkout: Path) -> None:
    given = ("--source", "https://a.test/b", "--revision", "ab" * 20, "--version", "1.2.3")
    ended = await run("labels", "--folder", str(checkout), *given, SOURCE_DATE_EPOCH="1764417600")
    assert ended.out.splitlines() == [
        f"--label {PREFIX}source=https://a.test/b",
        f"--label {PREFIX}revision={'ab' * 20}",
        f"--label {PREFIX}version=1.2.3",
        f"--label {PREFIX}created=2025-11-29T12:00:00Z",
    ]


async def test_the_version_is_the_nearest_tag(checkout: Path) -> None:
    git(checkout, "tag", "v1.2.3")
    ended = await run("labels", "--folder", str(checkout), "--json")
    assert ended.json[f"{PREFIX}version"] == "v1.2.3"


async def test_files_that_differ_from_the_commit_are_told(checkout: Path) -> None:
    (checkout / "file").write_text("2", encoding="utf-8")
    ended = await run("labels", "--folder", str(checkout), "--json")
    assert (ended.code, "differ from" in ended.err, len(json.loads(ended.out))) == (0, True, 4)


async def test_where_there_is_no_repository_it_says_so(tmp_path: Path) -> None:
    ended = await run("labels", "--folder", str(tmp_path), GIT_CEILING_DIRECTORIES=str(tmp_path.parent))
    assert (ended.code, ended.out, "git cannot tell" in ended.err) == (1, "", True)


@pytest.mark.parametrize("epoch", ["soon", "1e99", "9" * 30])
async def test_an_epoch_that_is_none_is_refused(checkout: Path, epoch: str) -> None:
    ended = await run("labels", "--folder", str(checkout), SOURCE_DATE_EPOCH=epoch)
    assert (ended.code, "SOURCE_DATE_EPOCH" in ended.err) == (2, True)


async def test_a_label_with_blanks_is_refused(checkout: Path) -> None:
    assert (await run("labels", "--folder", str(checkout), "--version", "1 2")).code == 2


@pytest.mark.parametrize(
    ("remote", "source"),
    [
        ("https://github.com/acme/web.git", "https://github.com/acme/web"),
        ("https://x-token:secret@github.com/acme/web", "https://github.com/acme/web"),
        ("https://git.test:8443/acme/web.git", "https://git.test:8443/acme/web"),
        ("git@github.com:acme/web.git", "https://github.com/acme/web"),
        ("ssh://git@git.test:2222/acme/web.git", "https://git.test/acme/web"),
        ("http://git.test/web/", "http://git.test/web"),
    ],
)
def test_a_remote_is_told_without_an_account(remote: str, source: str) -> None:
    assert source_url(remote) == source


def test_a_remote_that_is_a_folder_is_no_source() -> None:
    with pytest.raises(FleetError, match="give --source"):
        source_url("/srv/git/web")


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://m.test", "https://m.test/api/v1/webhooks/generic"),
        ("https://m.test/", "https://m.test/api/v1/webhooks/generic"),
        ("https://m.test/api/v1", "https://m.test/api/v1/webhooks/generic"),
        ("https://m.test/tide/api/v1/webhooks/generic", "https://m.test/tide/api/v1/webhooks/generic"),
    ],
)
def test_a_managers_address_or_its_webhooks_is_taken(given: str, url: str) -> None:
    assert str(webhook_url(given)) == url


@pytest.mark.parametrize("given", ["m.test", "ftp://m.test", "https://u:p@m.test", "https://m.test/?token=x"])
def test_what_is_no_managers_address_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="--webhook"):
        webhook_url(given)


def test_a_secret_is_a_value_or_a_files_content_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("tide\n", encoding="utf-8")
    settings = read_settings({"TIDEGATE_WEBHOOK_SECRET_FILE": str(file)})
    assert (settings.secret, "tide" in repr(settings)) == ("tide", False)
    both = read_settings({"TIDEGATE_WEBHOOK_SECRET": "time", "TIDEGATE_WEBHOOK_SECRET_FILE": str(file)})
    assert (both.secret, read_settings({}).secret) == ("time", "")


@pytest.mark.parametrize("content", [None, b"", b"\xff"])
def test_a_secrets_file_that_is_none_is_refused_by_name(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=f"TIDEGATE_WEBHOOK_SECRET_FILE: {file}"):
        read_settings({"TIDEGATE_WEBHOOK_SECRET_FILE": str(file)})


@pytest.mark.parametrize("name", ["REPO_USER", "REPO_PASS"])
def test_half_an_account_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="belong together"):
        read_settings({name: "x"})


@pytest.mark.parametrize("name", ["TIDEGATE_REGISTRY_CA", "TIDEGATE_INSECURE_REGISTRIES", "TIDEGATE_MANAGER_CA"])
def test_a_setting_that_cannot_be_used_is_refused_by_name(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} is '/a b'; it takes"):
        read_settings({name: "/a b"})


def version(tag: str, output: Path) -> subprocess.CompletedProcess[str]:
    """The pipeline's check of a tag of Tidegate's own."""
    environ = {"PATH": os.environ["PATH"], "TAG": tag, "GITHUB_OUTPUT": str(output)}
    program = [str(ROOT / "scripts" / "pipeline" / "version")]
    return subprocess.run(program, env=environ, capture_output=True, text=True, check=False)


def test_a_tag_releases_the_version_of_the_sources_and_no_other(tmp_path: Path) -> None:
    output = tmp_path / "output"
    refused = version("v99.0.0", output)
    assert (refused.returncode, refused.stdout, output.exists()) == (1, "", False)
    assert f"says {__version__}" in refused.stderr
    done = version(f"v{__version__}", output)
    assert (done.returncode, done.stdout, output.read_text()) == (0, f"{__version__}\n", f"version={__version__}\n")


def channel(folder: Path, tag: str, output: Path) -> subprocess.CompletedProcess[str]:
    """What a release of that tag moves, in this repository."""
    environ = {"PATH": os.environ["PATH"], "TAG": tag, "GITHUB_OUTPUT": str(output)}
    program = [str(ROOT / "scripts" / "pipeline" / "channel")]
    return subprocess.run(program, cwd=folder, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("tag", "moved"),
    [("v2.0.0", "latest"), ("v1.0.1", "1.0"), ("v1.10.0", "1.10"), ("v1.0.0", None), ("v3.0.0", None), ("main", None)],
)
def test_latest_is_moved_by_the_highest_version_only(
    checkout: Path, tmp_path: Path, tag: str, moved: str | None
) -> None:
    for other in ("v1.0.0", "v1.0.1", "v1.9.3", "v1.10.0", "v2.0.0", "v9.0.0-rc1", "w9.0.0"):
        git(checkout, "tag", other)
    output = tmp_path / "output"
    done = channel(checkout, tag, output)
    if moved is None:
        assert (done.returncode, done.stdout, output.exists()) == (1, "", False)
    else:
        assert (done.returncode, done.stdout, output.read_text()) == (0, f"{moved}\n", f"channel={moved}\n")


def test_the_first_version_moves_latest(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "tag", "v0.1.0")
    assert channel(checkout, "v0.1.0", tmp_path / "output").stdout == "latest\n"
