"""What variables do to a container, from the environment to what is decided of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tidegate.agent.decide import Decider
from tidegate.agent.detect import Finding
from tidegate.agent.settings import load_settings
from tidegate.agent.survey import Place, Survey
from tidegate.domain.policy import Hook, resolve_policy
from tidegate.domain.rollout_policy import BusyThen
from tidegate.domain.selection import Candidate, select
from tidegate.engine.model import Image
from tidegate.registry.model import Release

WATCHTOWER = "com.centurylinklabs.watchtower"
OLD, NEW = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
NOW = datetime(2026, 11, 25, tzinfo=UTC)


class Channel:
    """A registry with a newer release, an engine whose tag still names the old one, and gates that stand open."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    async def look(self, references: set[str], **_: Any) -> dict[str, Finding]:
        self.asked = references
        return {one: Finding(one, digest=NEW) for one in references}

    async def release(self, *_: Any) -> Release:
        return Release(None, NEW, NEW, NEW, {})  # type: ignore[arg-type]

    async def image(self, _: str) -> Image:
        return Image(OLD, (), (f"web@{OLD}",), "linux", "amd64", "", 1, {})

    def quarantined(self, *_: Any) -> None:
        """Nothing is."""

    def closed(self, *_: Any) -> None:
        """Nothing is."""


MONITOR, NO_PULL, LABELS_WIN = ({name: "true"} for name in ("MONITOR_ONLY", "NO_PULL", "LABEL_TAKE_PRECEDENCE"))


@pytest.mark.parametrize("prefix", ["WATCHTOWER", "TIDEGATE"])
@pytest.mark.parametrize(
    ("given", "label", "action", "asked"),
    [
        ({}, {}, "update", True),
        (MONITOR, {}, "monitor", True),
        (MONITOR, {"monitor-only": "false"}, "monitor", True),
        (MONITOR | LABELS_WIN, {"monitor-only": "false"}, "update", True),
        (NO_PULL, {}, "none", False),
        (NO_PULL, {"no-pull": "false"}, "none", False),
        (NO_PULL | LABELS_WIN, {"no-pull": "false"}, "update", True),
    ],
)
async def test_the_environment_decides_what_is_only_watched_and_what_no_registry_is_asked_about(
    prefix: str, given: dict[str, str], label: dict[str, str], action: str, asked: bool
) -> None:
    settings = load_settings([], {f"{prefix}_{name}": value for name, value in given.items()})
    labels = {f"{WATCHTOWER}.{key}": value for key, value in label.items()}
    (chosen,) = select([Candidate("c", "web", "web", "running", labels)], settings.filters(), settings.policy_defaults)
    channel: Any = Channel()
    survey = Survey((Place("c", "web", "web", OLD, "running", labels, chosen),), {OLD: await channel.image("web")})
    (found,) = await Decider(channel, channel, channel).decide(survey, NOW)
    assert (found.action, channel.asked) == (action, {"web"} if asked else set())


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("WATCHTOWER_TIMEOUT", "30s", "stop_timeout_s", 30.0),
        ("TIDEGATE_STOP_TIMEOUT", "30s", "stop_timeout_s", 30.0),
        ("WATCHTOWER_LIFECYCLE_HOOKS", "true", "pre_check", Hook("look", 60.0)),
        ("TIDEGATE_ENABLE_LIFECYCLE_HOOKS", "true", "pre_check", Hook("look", 60.0)),
        ("TIDEGATE_SETTLE", "1m", "settle_s", 60.0),
        ("TIDEGATE_HEALTH_TIMEOUT", "1m", "health_timeout_s", 60.0),
        ("TIDEGATE_FREEZE", "2026-12-24/2026-12-27", "freezes", ("2026-12-24/2026-12-27",)),
        ("TIDEGATE_COOLDOWN", "1h", "cooldown_s", 3600.0),
        ("TIDEGATE_BUSY_WAIT", "4h", "busy_wait_s", 14400.0),
        ("TIDEGATE_BUSY_THEN", "force", "busy_then", BusyThen.FORCE),
        ("TIDEGATE_OVERLAP", "true", "overlap", True),
        ("TIDEGATE_INGRESS_NETWORKS", "edge, public", "ingress_networks", ("edge", "public")),
    ],
)
def test_the_environment_holds_for_a_container_whose_labels_do_not_say(
    name: str, text: str, field: str, value: object
) -> None:
    labels = {f"{WATCHTOWER}.lifecycle.pre-check": "look"}
    with_it, without = (
        getattr(resolve_policy(labels, load_settings([], environ).policy_defaults), field)
        for environ in ({name: text}, {})
    )
    assert with_it == value != without


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("WATCHTOWER_DEBUG", "true", "log_level", "debug"),
        ("WATCHTOWER_TRACE", "true", "log_level", "trace"),
        ("WATCHTOWER_LOG_FORMAT", "JSON", "log_format", "json"),
        ("WATCHTOWER_WARN_ON_HEAD_FAILURE", "never", "warn_on_head_failure", "never"),
        ("WATCHTOWER_NO_STARTUP_MESSAGE", "true", "no_startup_message", True),
    ],
)
def test_the_environment_decides_what_the_log_says_and_how(name: str, text: str, field: str, value: object) -> None:
    with_it, without = (getattr(load_settings([], environ), field) for environ in ({name: text}, {}))
    assert with_it == value != without
