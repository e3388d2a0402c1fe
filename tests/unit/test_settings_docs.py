import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support import settings_tables

from tidegate.agent import settings_help
from tidegate.agent.settings import Settings, load_settings
from tidegate.agent.settings_table import SETTINGS
from tidegate.domain.labels import LABELS

DOCS = Path(__file__).parents[2] / "docs"

# The surface of Watchtower, as its own documentation lists it.
WATCHTOWER = (
    "DOCKER_HOST",
    "DOCKER_TLS_VERIFY",
    "DOCKER_API_VERSION",
    "NO_COLOR",
    "REPO_USER",
    "REPO_PASS",
    "DOCKER_CONFIG",
    "TZ",
    "POLL_INTERVAL",
    "INTERVAL",
    "SCHEDULE",
    "TIMEOUT",
    "NO_PULL",
    "NO_RESTART",
    "NO_STARTUP_MESSAGE",
    "CLEANUP",
    "REMOVE_VOLUMES",
    "LABEL_ENABLE",
    "DISABLE_CONTAINERS",
    "MONITOR_ONLY",
    "RUN_ONCE",
    "INCLUDE_RESTARTING",
    "INCLUDE_STOPPED",
    "REVIVE_STOPPED",
    "ROLLING_RESTART",
    "SCOPE",
    "LABEL_TAKE_PRECEDENCE",
    "LIFECYCLE_HOOKS",
    "HTTP_API_UPDATE",
    "HTTP_API_METRICS",
    "HTTP_API_TOKEN",
    "HTTP_API_PERIODIC_POLLS",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "DEBUG",
    "TRACE",
    "PORCELAIN",
    "WARN_ON_HEAD_FAILURE",
    "COMPAT",
    "NOTIFICATIONS",
    "NOTIFICATION_URL",
    "NOTIFICATION_TEMPLATE",
    "NOTIFICATION_REPORT",
    "NOTIFICATION_TITLE_TAG",
    "NOTIFICATION_SKIP_TITLE",
    "NOTIFICATION_LOG_STDOUT",
    "NOTIFICATIONS_LEVEL",
    "NOTIFICATIONS_DELAY",
    "NOTIFICATIONS_HOSTNAME",
    "NOTIFICATION_EMAIL_FROM",
    "NOTIFICATION_EMAIL_TO",
    "NOTIFICATION_EMAIL_DELAY",
    "NOTIFICATION_EMAIL_SERVER",
    "NOTIFICATION_EMAIL_SERVER_PORT",
    "NOTIFICATION_EMAIL_SERVER_TLS_SKIP_VERIFY",
    "NOTIFICATION_EMAIL_SERVER_USER",
    "NOTIFICATION_EMAIL_SERVER_PASSWORD",
    "NOTIFICATION_EMAIL_SUBJECTTAG",
    "NOTIFICATION_SLACK_HOOK_URL",
    "NOTIFICATION_SLACK_IDENTIFIER",
    "NOTIFICATION_SLACK_CHANNEL",
    "NOTIFICATION_SLACK_ICON_EMOJI",
    "NOTIFICATION_SLACK_ICON_URL",
    "NOTIFICATION_MSTEAMS_HOOK_URL",
    "NOTIFICATION_MSTEAMS_USE_LOG_DATA",
    "NOTIFICATION_GOTIFY_URL",
    "NOTIFICATION_GOTIFY_TOKEN",
    "NOTIFICATION_GOTIFY_TLS_SKIP_VERIFY",
)

BARE = ("DOCKER_", "REPO_")


def test_every_variable_of_watchtower_is_in_the_table() -> None:
    known = {env for setting in SETTINGS for env in setting.envs}
    wanted = {n if n.startswith(BARE) or n in {"NO_COLOR", "TZ"} else f"WATCHTOWER_{n}" for n in WATCHTOWER}
    assert wanted - known == set()


def test_every_honoured_setting_has_a_field_and_every_field_a_setting() -> None:
    table = {setting.field for setting in SETTINGS if not setting.refused}
    assert table == {f.name for f in dataclasses.fields(Settings)} - {"schedule", "signatures", "names", "warnings"}


def test_no_variable_flag_or_letter_is_used_twice() -> None:
    for words in (
        [env for s in SETTINGS for env in s.envs],
        [s.flag for s in SETTINGS if s.flag],
        [s.short for s in SETTINGS if s.short],
    ):
        assert len(words) == len(set(words))


def test_every_default_is_one_that_the_setting_takes() -> None:
    for setting in SETTINGS:
        if setting.default:
            setting.kind.read(setting.default)
    load_settings([], {})


def test_help_names_every_honoured_flag_and_variable_and_no_refused_one() -> None:
    text = settings_help.help_text()
    words = set(re.findall(r"--[a-z-]+|[A-Z_]{2,}", text))
    for setting in SETTINGS:
        shown = {f"--{setting.flag}"} if setting.flag else set(setting.envs)
        assert bool(shown & words) is not bool(setting.refused)


@pytest.mark.parametrize(
    ("page", "table"),
    [
        ("settings.md", settings_tables.settings_table),
        ("settings.md", settings_tables.labels_table),
        ("manager.md", settings_tables.manager_settings_table),
        ("watchtower.md", settings_tables.watchtower_table),
        ("watchtower.md", settings_tables.watchtower_labels_table),
    ],
)
def test_the_documented_tables_are_those_of_the_program(page: str, table: Callable[[], str]) -> None:
    assert table() in (DOCS / page).read_text(), f"docs/{page} has not what {table} writes"


def test_only_the_variables_that_are_told_have_no_twin_of_our_own() -> None:
    alone = [
        env
        for setting in SETTINGS
        if not setting.refused and not any(env.startswith("TIDEGATE_") for env in setting.envs)
        for env in setting.envs
        if env.startswith("WATCHTOWER_")
    ]
    but = " and ".join(f"`{env}`" for env in alone)
    said = f"Every `WATCHTOWER_` variable that is honoured, but {but}, has a `TIDEGATE_` twin"
    assert said in (DOCS / "watchtower.md").read_text()


def test_every_label_is_documented() -> None:
    text = (DOCS / "settings.md").read_text()
    for label in LABELS:
        assert f"`{label.name or label.watchtower}`" in text
