"""What the deployment script shows of files has no secret in it."""

from __future__ import annotations

import pytest
from tests.support.deployment import Deployment

HIDDEN = """# hunter2
#OLD_PASSWORD=hunter2
REDIS_URL=redis://:hunter2@cache
DB_PWD=hunter2
WATCHTOWER_INTERVAL=300
SIGNING="-----BEGIN
hunter2
hunter2abc=
-----END"
PLAIN=hunter2
"""
INLINE = """    environment:
      DB_PASSWORD: hunter2
      "API_KEY": |
        hunter2
        hunter2
      CACHE: redis://:hunter2@cache
      AUTH:
        hunter2
      MODE: fast
"""
LISTED = """    environment:
      - DB_PASSWORD=hunter2
      - MODE=slow
"""


def test_a_dry_run_shows_of_files_what_is_no_secret(deployment: Deployment) -> None:
    deployment.folder.mkdir()
    (deployment.folder / ".env").write_text(HIDDEN, encoding="utf-8")
    base = deployment.template / "docker-compose.yml"
    text = base.read_text(encoding="utf-8").replace("  consumer:\n", f"  consumer:\n{INLINE}", 1)
    base.write_text(text, encoding="utf-8")
    told = deployment.first("--dry-run", "--interval", "60")
    base.write_text(text.replace(INLINE, LISTED), encoding="utf-8")
    (deployment.folder / "docker-compose.yml").write_text(text, encoding="utf-8")
    told += deployment.first("--dry-run", "--interval", "60", "--verbose")
    assert "hunter2" not in told
    shown = {"REDIS_URL=***", "PLAIN=***", "+WATCHTOWER_INTERVAL=60", "+      DB_PASSWORD: ***", "+      MODE: fast"}
    assert shown | {"+      - DB_PASSWORD=***", "+BAKE=1s"} <= {line.strip(" ") for line in told.splitlines()}


def test_what_compose_warns_of_is_shown_without_them(deployment: Deployment) -> None:
    """An entry of a list whose value is a secret elsewhere."""
    deployment.folder.mkdir()
    (deployment.folder / ".env").write_text("DB_PWD=hunter2\n", encoding="utf-8")
    base = deployment.template / "docker-compose.yml"
    text = base.read_text(encoding="utf-8")
    entry = "    environment:\n      - MODE=${hunter2}\n"
    base.write_text(text.replace("  consumer:\n", f"  consumer:\n{entry}", 1), encoding="utf-8")
    told = deployment.first("--dry-run")
    assert ('The \\"***\\" variable is not set' in told, "hunter2" in told) == (True, False), told


def test_of_a_secret_that_would_be_another_only_that_is_said(deployment: Deployment) -> None:
    deployment.first()
    env = deployment.folder / ".env"
    env.write_text(env.read_text(encoding="utf-8") + "DB_PWD=hunter2\n", encoding="utf-8")
    deployment.run("--interval", "60")
    env.write_text(env.read_text(encoding="utf-8").replace("hunter2", "hunter3"), encoding="utf-8")
    told = deployment.run("restore", "--dry-run")
    assert ("hunter" in told, "+DB_PWD=*** (another)" in told) == (False, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--manager", "http://127.0.0.1:1", "--enrolment-token-file", "hunter2"), "not the token itself"),
        (("--manager", "https://ann:hunter2@example.com"), "without a password"),
        (("--scope", "ann:hunter2@example.com"), "a name of letters"),
        (("--set", "db_pwd=hunter2"), "not for secrets"),
        (("--set", "CACHE=redis://:hunter2@cache"), "not for secrets"),
        (("--set", "TIDEGATE_MANAGER=https://hunter2@example.com"), "an account in its address"),
        (("--set", "DB_PASSWORD=hunter2's"), "takes NAME=VALUE"),
        (("--set", "hunter2"), "takes NAME=VALUE"),
    ],
    ids=lambda one: one[-1] if isinstance(one, tuple) else None,
)
def test_what_is_refused_is_not_shown_where_it_may_be_a_secret(
    deployment: Deployment, words: tuple[str, ...], said: str
) -> None:
    told = deployment.run(*words, first=True, code=2)
    assert (said in told, "hunter2" in told) == (True, False), told


def test_an_address_that_somebody_wrote_by_hand_is_told_without_its_password(deployment: Deployment) -> None:
    deployment.first()
    with (deployment.folder / ".env").open("a", encoding="utf-8") as file:
        file.write("TIDEGATE_MANAGER=https://ann:hunter2@example.com\n")
    told = deployment.run("status")
    assert ("https://***@example.com" in told, "hunter2" in told) == (True, False)


@pytest.mark.parametrize("account", ["hunter2", "ann:hunter2"])
def test_an_account_in_the_managers_address_that_is_gone_back_to_reaches_no_program(
    deployment: Deployment, account: str
) -> None:
    deployment.first()
    deployment.run("--interval", "60")
    (checkpoint,) = (deployment.folder / ".tidegate" / "checkpoints").glob("*/.env")
    with checkpoint.open("a", encoding="utf-8") as file:
        file.write(f"TIDEGATE_MANAGER=https://{account}@example.com\n")
    asked = deployment.aside / "asked"
    env = deployment.failing("curl", "*")
    (deployment.aside / "curl").write_text(f'#!/bin/sh\necho "$*" >{asked}\n', encoding="utf-8")
    told = deployment.run("restore", code=2, trace=True, env=env)
    assert (f"take it out of TIDEGATE_MANAGER in {checkpoint}" in told, "hunter2" in told) == (True, False)
    assert not asked.exists()
