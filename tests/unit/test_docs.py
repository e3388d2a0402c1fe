"""What the README and docs/ name exists: links, files, labels, variables, flags, commands, messages."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from tests.support.deployment import SCRIPT
from tests.support.pages import PAGES, ROOT, blocks, commands, links, spans_of, words
from tests.support.program import refusal

from tidegate.agent.outcome import Ending
from tidegate.agent.settings_parse import ALIASES
from tidegate.agent.settings_table import SETTINGS
from tidegate.cli.fleet.login import VARIABLES as CLI_VARIABLES
from tidegate.cli.release.settings import VARIABLES as RELEASE_VARIABLES
from tidegate.domain.labels import LABELS
from tidegate.domain.reference import parse_reference
from tidegate.domain.signature_policy_reader import FIELDS, TOP_FIELDS, read_signature_policy
from tidegate.manager.settings_table import SETTINGS as MANAGER_SETTINGS

OWN_LABELS = {
    "tidegate.transaction",
    "tidegate.private-for",
    "tidegate.helper",
    "tidegate.instance",
    "tidegate.follows",
}
_IN_A_SENTENCE = re.compile(r"(?:docker (?:compose )?exec \S+ )?tidegate ([a-z].*)")
NO_LABELS = {"tidegate.local", "tidegate.db", "tidegate.db-wal"}  # a repository of the engine's; files of the manager
SOURCES = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file_and_to_a_heading_in_it(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in _anchors(target), f"{target.name} has no heading #{anchor}"


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_label_that_is_named_exists() -> None:
    known = {label.name for label in LABELS} | OWN_LABELS | NO_LABELS
    named = words(r"(?<![\w./-])tidegate\.[a-z]+(?:[.-][a-z]+)*")
    assert {(page, label) for page, label in named if label not in known} == set()


def test_every_variable_that_is_named_exists() -> None:
    known = {env for setting in SETTINGS for env in setting.envs} | {*CLI_VARIABLES, *RELEASE_VARIABLES}
    known |= {setting.env for setting in MANAGER_SETTINGS}
    for file in [*(ROOT / "deploy").rglob("*.yml"), *(ROOT / "examples").rglob("*.yml")]:  # as they ask
        known.update(re.findall(r"\$\{([A-Z_]+)", file.read_text(encoding="utf-8")))
    known.update(re.findall(r"\|([A-Z_]+)\|", SCRIPT.read_text(encoding="utf-8")))
    known.add("TIDEGATE_ENROLMENT_TOKEN")  # of the script too, and no flag
    named = words(r"\b(?:TIDEGATE|WATCHTOWER|REPO)_[A-Z_]*[A-Z]\b")
    assert {(page, name) for page, name in named if name not in known} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_is_named_exists(page: Path) -> None:
    inside = [
        span for span in spans_of(page) if re.match(r"(src|tests|docs|deploy|examples|scripts|bench)/[\w./-]*$", span)
    ]
    assert [span for span in inside if not (ROOT / span).exists()] == []


def test_every_flag_of_an_agents_command_exists() -> None:
    known = {f"--{setting.flag}" for setting in SETTINGS} | {f"--{alias}" for alias in ALIASES}
    known |= {"--json", "--limit", "--output", "--to", "--help"}
    for line in commands():
        if "tidegate agent " in line:
            flags = [
                word.partition("=")[0] for word in shlex.split(line.split("tidegate agent ")[1]) if word[:2] == "--"
            ]
            assert set(flags) <= known, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_named_in_a_sentence_is_one_that_the_program_takes(page: Path) -> None:
    lines = [found[1] for span in spans_of(page) if (found := _IN_A_SENTENCE.fullmatch(span))]
    assert {line: why for line in lines if (why := refusal(line))} == {}


@pytest.mark.parametrize("page", ["ORCHESTRATOR_AUTOUPDATE", "manager-operations", "operations", "rollouts", "alerts"])
def test_the_pages_for_operators_name_commands_in_sentences(page: str) -> None:
    assert any(_IN_A_SENTENCE.fullmatch(span) for span in spans_of(ROOT / "docs" / f"{page}.md"))


@pytest.mark.parametrize(
    "line",
    [
        "rolout",
        "rollout puase 1",
        "rollout pause x",
        "rollout pause N --becuase x",
        "rollout pause 1 2",
        "freeze add N --for",
    ],
)
def test_a_command_that_the_program_would_not_take_is_found(line: str) -> None:
    assert refusal(line)


def test_the_outcomes_that_are_explained_are_those_that_there_are() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = text.split("## Outcomes")[1].split("## ")[0]
    others = {"deferred", "forced", "skipped", "unverified"}
    assert set(re.findall(r"^\| `([a-z-]+)`", table, re.MULTILINE)) == {*Ending, *others}


def test_the_messages_that_are_explained_are_those_of_the_program() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = text.split("## Messages")[1].split("## ")[0]
    messages = re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)
    assert messages
    assert [message for message in messages if message not in SOURCES] == []


def test_the_state_files_that_are_listed_are_those_of_the_program() -> None:
    text = (ROOT / "docs" / "updates.md").read_text(encoding="utf-8").split("## State files")[1]
    listed = set(re.findall(r"`([\w.-]+?\.(?:json|jsonl|lock|sock))`", text))
    assert listed == set(re.findall(r'"((?!\.)[\w.-]+\.(?:json|jsonl|lock|sock))"', SOURCES)) - {
        "config.json",
        "docker.sock",
    }


@pytest.mark.parametrize("name", ["demo", "demo-clean", "setup", "test", "test-engines", "test-long", "test-people"])
def test_make_has_the_targets_of_the_readme(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{name}:.*## \S", makefile, re.MULTILINE)


def test_no_token_is_on_a_command_line_where_others_would_see_it() -> None:
    shown = re.compile(r"(-H|--header) \S*Authorization|(-u|--user) \S+:|--token[ =]")
    assert [line for line in commands() if shown.search(line)] == []


def test_no_other_make_target_is_named() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {line.split()[1] for line in commands() if line.startswith("make ")}
    assert named <= targets


def test_the_signature_policy_that_is_shown_is_one() -> None:
    shown, _ = (read_signature_policy(block.text, block.page) for block in reversed(blocks("toml")))
    web, api = (parse_reference(f"ghcr.io/acme/{name}") for name in ("web", "api"))
    assert [bool(rule.key) for image in (web, api) for rule in shown.rules_for(image)] == [False, True]


def test_every_field_of_the_signature_policy_is_explained() -> None:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8").split("## The signature policy")[1]
    named = {
        name for cell in re.findall(r"^\| (`.+?) \|", text, re.MULTILINE) for name in re.findall(r"`([\w-]+)`", cell)
    }
    assert named == {*FIELDS, *TOP_FIELDS} - {"image"}
