"""The deployment script keeps what the files were, puts it back, and lets no secret out."""

from __future__ import annotations

import re
import shutil
import stat
from pathlib import Path

import pytest
from tests.support.compose import Compose
from tests.support.deployment import TOKEN, Deployment
from tests.support.docker import docker

SECRETS = {
    "DB_PASSWORD=correct-horse-battery": "correct-horse-battery",
    "S3_SECRET='quoted staple'": "quoted staple",
    "NEXT_PASSWORD=hunter33 # mine": "hunter33",
    'SPACED_PASSWORD="hunter 44" # x': "hunter 44",
    "COLON_PASSWORD: hunter55": "hunter55",
    "APART_PASSWORD = hunter66 ": "hunter66",
    "export SENT_PASSWORD=hunter77": "hunter77",
    r'ESCAPED_PASSWORD="hunter\"88" # y': 'hunter\\"88',
    "DOLLAR_PASSWORD=hunter$$99": "hunter$$99",
}
"""A line of .env -> the secret that is in it."""
AGENTS = {"tidegate": "watchtower", "watchtower": "agent"}
"""The service that the agent is, with either engine."""
VARIABLES = ("variable", "variable of the file")
URL = "http://ann:letmein-please@example.com"


def in_git(deployment: Deployment) -> None:
    """Make the folder a repository, with something staged and something not."""
    deployment.folder.mkdir()
    deployment.git("init", "-q", "-b", "main")
    (deployment.folder / "notes").write_text("one\n", encoding="utf-8")
    deployment.git("add", "notes")
    deployment.git("commit", "-q", "-m", "notes")
    (deployment.folder / "notes").write_text("two\n", encoding="utf-8")
    deployment.git("add", "notes")
    (deployment.folder / "notes").write_text("three\n", encoding="utf-8")


def refs(deployment: Deployment) -> list[str]:
    """The checkpoints in git."""
    return deployment.git("for-each-ref", "--format=%(refname)", "refs/tidegate").split()


@pytest.mark.parametrize("git", [False, True])
def test_each_change_keeps_the_files_as_they_were_and_restore_brings_them_back(
    deployment: Deployment, *, git: bool
) -> None:
    if git:
        in_git(deployment)
    deployment.first()
    first = deployment.files()
    deployment.run("--interval", "60", "--engine", "watchtower")
    second = deployment.files()
    assert len(deployment.checkpoints()) == 2
    deployment.run("restore")
    assert (deployment.files(), deployment.image_of("watchtower")) == (first, deployment.agent)
    deployment.run("restore")  # which can be taken back, as every change can
    assert (deployment.files(), deployment.image_of("watchtower")) == (second, deployment.watchtower)
    deployment.run("restore", deployment.checkpoints()[1])
    assert deployment.files() == first
    assert "nothing to change" in deployment.run("restore", deployment.checkpoints()[1])
    assert "use remove" in deployment.run("restore", deployment.checkpoints()[0].split()[0], code=2)


def test_in_a_repository_nothing_that_is_somebodys_is_touched(deployment: Deployment) -> None:
    in_git(deployment)
    before = (deployment.git("rev-parse", "HEAD", "main"), deployment.git("diff"), deployment.git("diff", "--cached"))
    deployment.first()
    deployment.run("--interval", "60")
    now = (deployment.git("rev-parse", "HEAD", "main"), deployment.git("diff"), deployment.git("diff", "--cached"))
    assert now == before
    (tag,) = refs(deployment)
    assert tag == f"refs/tidegate/checkpoints/{deployment.checkpoints()[1]}"
    assert deployment.git("tag") == ""  # which would leave with a push of tags
    kept = deployment.git("ls-tree", "--name-only", tag).split()
    assert kept == ["docker-compose.deployment.yml", "docker-compose.yml", "notes"]
    assert deployment.git("log", "--format=%P", "-1", tag).split() == deployment.git("rev-parse", "HEAD").split()
    untracked = deployment.git("status", "--porcelain", "--untracked-files=all").splitlines()
    assert [line for line in untracked if ".env" in line or ".tidegate" in line] == []


@pytest.mark.long
def test_a_folder_within_a_repository_has_its_checkpoints_there(deployment: Deployment) -> None:
    outer = deployment.folder
    in_git(deployment)
    deployment.folder = outer / "clusters" / "one"
    deployment.first()
    first = deployment.files()
    deployment.run("--interval", "60")
    (tag,) = refs(deployment)
    kept = deployment.git("ls-tree", "-r", "--full-tree", "--name-only", tag).split()
    assert "clusters/one/docker-compose.yml" in kept
    deployment.run("restore")
    assert deployment.files() == first


def test_a_run_that_failed_keeps_no_checkpoint_and_nothing_in_git(deployment: Deployment) -> None:
    in_git(deployment)
    deployment.first()
    sick = deployment.image("sick", env={"SICK": "1"})
    deployment.run("--channel", sick, "--deadline", "30", code=1)
    assert (len(deployment.checkpoints()), refs(deployment)) == (1, [])


@pytest.mark.long
def test_a_checkpoint_outlives_its_name_in_git(deployment: Deployment) -> None:
    in_git(deployment)
    deployment.first()
    first = deployment.files()
    deployment.run("--interval", "60")
    named = deployment.git("for-each-ref", "--format=%(refname)", "refs/tags", "refs/tidegate").split()
    assert named
    for ref in named:
        deployment.git("update-ref", "-d", ref)
    deployment.git("gc", "-q", "--prune=now")
    deployment.run("restore")
    assert deployment.files() == first


def test_a_checkpoint_behind_a_tag_as_there_once_were_is_gone_back_to(deployment: Deployment) -> None:
    in_git(deployment)
    deployment.first()
    first = deployment.files()
    deployment.run("--interval", "60")
    name = deployment.checkpoints()[-1]
    deployment.git("tag", f"tidegate-checkpoint-{name}", f"refs/tidegate/checkpoints/{name}")
    deployment.git("update-ref", "-d", f"refs/tidegate/checkpoints/{name}")
    for copy in (deployment.folder / ".tidegate" / "checkpoints" / name).glob("docker-compose*"):
        copy.unlink()
    deployment.run("restore", f"tidegate-checkpoint-{name}")
    assert deployment.files() == first
    deployment.git("tag", "-d", f"tidegate-checkpoint-{name}")
    assert "neither in" in deployment.run("restore", name, code=2)
    assert deployment.files() == first


@pytest.mark.long
def test_a_compose_file_that_git_is_to_ignore_stays_out_of_it(deployment: Deployment) -> None:
    in_git(deployment)
    (deployment.folder / ".gitignore").write_text("docker-compose.yml\n", encoding="utf-8")
    secret = '    environment: ["DB_PASSWORD=hunter2"]\n'
    base = deployment.template / "docker-compose.yml"
    text = base.read_text(encoding="utf-8").replace("  consumer:\n", f"  consumer:\n{secret}", 1)
    base.write_text(text, encoding="utf-8")
    deployment.first()
    first = deployment.files()
    assert secret in first["docker-compose.yml"]
    deployment.run("--interval", "60")
    objects = deployment.git("cat-file", "--batch-all-objects", "--batch", "--unordered")
    assert (refs(deployment), "hunter2" in objects) == ([], False)
    deployment.run("restore")
    assert deployment.files() == first


@pytest.mark.long
def test_the_newest_twenty_checkpoints_are_kept(deployment: Deployment) -> None:
    in_git(deployment)
    deployment.first()
    deployment.run("--interval", "60")
    kept = deployment.folder / ".tidegate" / "checkpoints"
    newest = deployment.checkpoints()[-1]
    for number in range(25):
        shutil.copytree(kept / newest, kept / f"20200101T0000{number:02}Z")
        deployment.git("update-ref", f"refs/tidegate/checkpoints/20200101T0000{number:02}Z", refs(deployment)[-1])
    before = deployment.checkpoints()
    deployment.run("--interval", "90")
    now = deployment.checkpoints()
    assert (len(now), now[:-1]) == (20, before[-19:])
    assert refs(deployment) == [f"refs/tidegate/checkpoints/{name}" for name in now if " " not in name]


@pytest.mark.parametrize("given", ["file", *(pytest.param(one, marks=pytest.mark.long) for one in VARIABLES)])
def test_no_secret_is_printed_or_gets_into_history_and_what_holds_one_is_its_owners(
    deployment: Deployment, manager: str, token: Path, given: str
) -> None:
    in_git(deployment)
    words = ["--manager", manager, "--agent-name", "berlin1"]
    env: dict[str, str] = {}
    if given == "file":
        words += ["--enrolment-token-file", str(token)]
    elif given == "variable":
        env["TIDEGATE_ENROLMENT_TOKEN"] = TOKEN
    else:
        env["TIDEGATE_ENROLMENT_TOKEN_FILE"] = str(token)
    lines = (*SECRETS, f"PROXY={URL}", "TINY_KEY=ab")
    (deployment.folder / ".env").write_text("\n".join(lines) + "\n", encoding="utf-8")
    told = deployment.run("--dry-run", *words, first=True, trace=True, env=env)
    told += deployment.run("--verbose", *words, first=True, trace=True, env=env)
    told += deployment.run("--verbose", "--interval", "60", "--dry-run", trace=True)
    told += deployment.run("--verbose", "--interval", "60", trace=True)
    broken = deployment.template / "docker-compose.yml"
    refused = "/".join(
        [TOKEN, *(f"${{{name}}}" for line in SECRETS for name in re.findall(r"\b[A-Z0-9]+_[A-Z]+", line))]
    )
    text = broken.read_text(encoding="utf-8").replace("  consumer:\n", f"  consumer:\n    mem_limit: '{refused}'\n", 1)
    broken.write_text(text, encoding="utf-8")
    told += deployment.run("--from", str(deployment.template), trace=True, code=2)
    told += deployment.run("status", trace=True) + deployment.run("restore", "--verbose", trace=True)
    secret = [*SECRETS.values(), TOKEN, "letmein-please", "TINY_KEY=ab"]
    assert [one for one in secret if one in told] == []
    history = deployment.git("log", "--all", "-p", "--stat") + deployment.git("diff", "--cached")
    objects = deployment.git("cat-file", "--batch-all-objects", "--batch", "--unordered")
    assert refs(deployment)
    assert [one for one in secret if one in history + objects] == []
    everybodys = [path for path, text in holders(deployment.folder) if path.stat().st_mode & 0o077 and text]
    assert everybodys == []


def holders(folder: Path) -> list[tuple[Path, bool]]:
    """Every file below, and whether a secret is in it."""
    names = [*SECRETS.values(), TOKEN]
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    found = [(path, any(name.encode() in path.read_bytes() for name in names)) for path in files]
    assert {".env", "enrol-token"} <= {path.name for path, holds in found if holds}
    return found


@pytest.mark.parametrize("engine", AGENTS)
def test_the_updater_has_manager_name_and_token_and_another_token_reaches_it(
    deployment: Deployment, manager: str, token: Path, compose: Compose, engine: str
) -> None:
    agent = AGENTS[engine]
    words = ["--engine", engine, "--manager", manager, "--agent-name", "berlin1"]
    assert "no token to enrol with" in deployment.run(*words, first=True, code=2)
    deployment.run(*words, "--enrolment-token-file", str(token), first=True)
    updater = compose.container(agent)
    environ = dict(line.split("=", 1) for line in updater["Config"]["Env"])
    assert (environ["TIDEGATE_MANAGER"], environ["TIDEGATE_AGENT_NAME"]) == (manager, "berlin1")
    read = ["exec", updater["Id"], "cat", environ["TIDEGATE_ENROL_TOKEN_FILE"]]
    assert docker(*read) == TOKEN
    before = deployment.ids(agent)
    assert "nothing to change" in deployment.run("--enrolment-token-file", str(token))
    token.write_text("another-token-0815", encoding="utf-8")
    deployment.run("--enrolment-token-file", str(token))
    after = deployment.ids(agent)
    assert {name for name, one in after.items() if before[name] != one} == {agent}
    assert docker("exec", after[agent], "cat", environ["TIDEGATE_ENROL_TOKEN_FILE"]) == "another-token-0815"
    assert stat.S_IMODE((deployment.folder / "enrol-token").stat().st_mode) == 0o600
    deployment.run("--manager", "none")
    environ = dict(line.split("=", 1) for line in compose.container("watchtower")["Config"]["Env"])
    assert ("TIDEGATE_MANAGER" in environ, compose.ids("agent")) == (False, set())


def test_who_the_agent_is_stays_known_when_the_engine_is_switched_there_and_back(
    deployment: Deployment, manager: str, token: Path, compose: Compose
) -> None:
    managed = deployment.template / "docker-compose.watchtower-managed.yml"
    other = managed.read_text(encoding="utf-8").replace("- state:", "- agent-state:")
    managed.write_text(f"{other}\nvolumes:\n  agent-state:\n", encoding="utf-8")
    deployment.first("--manager", manager, "--agent-name", "berlin1", "--enrolment-token-file", str(token))
    identity = "/var/lib/tidegate/identity"
    docker("exec", compose.container("watchtower")["Id"], "sh", "-c", f"echo berlin1 >{identity}")
    for engine in ("watchtower", "tidegate"):
        deployment.run("--engine", engine)
        assert docker("exec", compose.container(AGENTS[engine])["Id"], "cat", identity) == "berlin1"


def test_an_agent_beside_watchtower_that_has_a_volume_of_its_own_keeps_it(
    deployment: Deployment, manager: str, token: Path
) -> None:
    words = ["--manager", manager, "--agent-name", "berlin1", "--enrolment-token-file", str(token), "--dry-run"]
    deployment.folder.mkdir()
    made = deployment.folder / "docker-compose.deployment.yml"
    made.write_text("services:\n  agent:\n    networks: [manager]\n", encoding="utf-8")
    for engine in AGENTS:
        assert "+      - agent-state:/var/lib/tidegate" in deployment.run("--engine", engine, *words, first=True)


def test_with_watchtower_an_agent_beside_it_has_manager_name_and_both_tokens(
    deployment: Deployment, manager: str, token: Path, compose: Compose
) -> None:
    words = ["--engine", "watchtower", "--manager", manager, "--agent-name", "berlin1", "--scope", "blue"]
    told = deployment.first(*words, "--enrolment-token-file", str(token))
    agent, updater = compose.container("agent"), compose.container("watchtower")
    environment = set(agent["Config"]["Env"])
    assert {f"TIDEGATE_MANAGER={manager}", "TIDEGATE_AGENT_NAME=berlin1"} <= environment
    assert {"TIDEGATE_UPDATE_ENGINE=watchtower", "WATCHTOWER_HTTP_API_PERIODIC_POLLS=false"} <= environment | set(
        updater["Config"]["Env"]
    )
    assert agent["Config"]["Cmd"] == ["--label-enable", "--scope", "blue", "--interval", "300"]
    file = deployment.folder / "watchtower-token"
    secret = file.read_text(encoding="ascii")
    assert (len(secret), file.stat().st_mode & 0o777, secret in told) == (64, 0o600, False)
    assert "nothing to change" in deployment.run()
    assert file.read_text(encoding="ascii") == secret
    assert secret not in deployment.run("--interval", "60", "--dry-run")
    deployment.run("--manager", "none")
    assert compose.ids("agent") == set()


def test_a_manager_that_does_not_answer_is_said(deployment: Deployment, token: Path) -> None:
    words = ["--manager", "http://127.0.0.1:1", "--enrolment-token-file", str(token)]
    assert "the manager does not answer" in deployment.run(*words, first=True, code=2)
    words += ["--manager-network", "nowhere"]
    assert "there is no network nowhere" in deployment.run(*words, first=True, code=2)


@pytest.mark.long
def test_without_the_manager_that_is_away_files_are_changed_and_gone_back_to(
    deployment: Deployment, manager: str, token: Path
) -> None:
    deployment.first("--manager", manager, "--agent-name", "berlin1", "--enrolment-token-file", str(token))
    docker("rm", "-f", f"{deployment.compose.project}-manager")
    assert "warning: the manager does not answer" in deployment.run("--interval", "60")
    deployment.run("--manager", "none")
    told = deployment.run("restore")
    assert ("warning: the manager does not answer" in told, deployment.env()["TIDEGATE_MANAGER"]) == (True, manager)
    assert "the manager does not answer" in deployment.run("--manager", "http://127.0.0.1:1", code=2)
