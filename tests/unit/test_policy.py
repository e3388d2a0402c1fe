from typing import Any

import pytest

from tidegate.domain.labels import INTERNAL, LABELS
from tidegate.domain.policy import (
    Cut,
    Hook,
    Policy,
    PolicyDefaults,
    PolicyError,
    ProbeExec,
    ProbeHttp,
    ProbeTcp,
    resolve_policy,
)
from tidegate.domain.policy_reader import label_warnings
from tidegate.domain.rollout_policy import BusyThen
from tidegate.domain.transaction import Strategy

WATCHTOWER = "com.centurylinklabs.watchtower"


def policy(labels: dict[str, str], **defaults: Any) -> Policy:
    return resolve_policy(labels, PolicyDefaults(**defaults))


def refusal(labels: dict[str, str]) -> str:
    with pytest.raises(PolicyError) as caught:
        policy(labels)
    return str(caught.value)


def test_without_labels_the_defaults_hold() -> None:
    found = policy({}, settle_s=3.0, cut=Cut.FAST, strategy=Strategy.SWAP, keep_images=2)
    assert (found.settle_s, found.cut, found.strategy, found.keep_images) == (3.0, Cut.FAST, Strategy.SWAP, 2)
    assert (found.enable, found.scope, found.probe, found.depends_on) == (None, None, None, None)


@pytest.mark.parametrize(("asked_s", "had_s"), [(0.5, 1.0), (30.0, 30.0), (None, None), (0.0, 0.0)])
def test_less_than_a_second_to_stop_is_a_second(asked_s: float | None, had_s: float | None) -> None:
    assert policy({}, stop_timeout_s=asked_s).stop_timeout_s == had_s


def test_own_label_beats_watchtowers_which_beats_the_default() -> None:
    theirs = {f"{WATCHTOWER}.scope": "theirs", f"{WATCHTOWER}.enable": "false"}
    assert policy(theirs).scope == "theirs"
    both = policy({**theirs, "tidegate.scope": "ours", "tidegate.enable": "true"})
    assert (both.scope, both.enable) == ("ours", True)


def test_every_own_label_reaches_its_field() -> None:
    found = policy(
        {
            "tidegate.strategy": "stop-first",
            "tidegate.ingress-networks": "edge, public",
            "tidegate.overlap": "true",
            "tidegate.cut": "fast",
            "tidegate.drain": "5s",
            "tidegate.settle": "1m",
            "tidegate.health-timeout": "2m",
            "tidegate.bake": "0",
            "tidegate.window": "0 4 * * * 2h; 0 12 * * 6 1h Europe/Rome",
            "tidegate.busy-wait": "4h",
            "tidegate.busy-then": "force",
            "tidegate.cooldown": "1d",
            "tidegate.group": "stack",
            "tidegate.depends-on": "/db,cache",
            "tidegate.keep-images": "3",
        }
    )
    assert found.strategy is Strategy.STOP_FIRST
    assert found.ingress_networks == ("edge", "public")
    assert found.overlap
    assert found.cut is Cut.FAST
    assert (found.drain_s, found.settle_s, found.health_timeout_s, found.bake_s) == (5.0, 60.0, 120.0, 0.0)
    assert found.windows == ("0 4 * * * 2h", "0 12 * * 6 1h Europe/Rome")
    assert (found.busy_wait_s, found.busy_then) == (14400.0, BusyThen.FORCE)
    assert (found.cooldown_s, found.group) == (86400.0, "stack")
    assert (found.depends_on, found.keep_images) == (("db", "cache"), 3)


def test_freezes_of_the_settings_and_of_the_label_both_hold() -> None:
    ours, theirs = "2026-12-24/2027-01-02", "2026-11-27/2026-11-30 Europe/Rome Black Friday"
    assert policy({"tidegate.freeze": theirs}, freezes=(ours,)).freezes == (ours, theirs)


def test_strategy_auto_on_a_container_beats_the_agents_strategy() -> None:
    assert policy({"tidegate.strategy": "auto"}, strategy=Strategy.STOP_FIRST).strategy is None


@pytest.mark.parametrize(
    ("label", "globally", "precedence", "expected"),
    [
        (None, False, False, False),
        (None, True, False, True),
        ("true", False, False, True),
        ("false", True, False, True),
        ("false", True, True, False),
        ("true", False, True, True),
        (None, True, True, True),
    ],
)
@pytest.mark.parametrize("key", ["monitor-only", "no-pull"])
def test_watchtowers_label_adds_to_the_setting_unless_labels_take_precedence(
    key: str, label: str | None, globally: bool, precedence: bool, expected: bool
) -> None:
    labels = {} if label is None else {f"{WATCHTOWER}.{key}": label}
    field = key.replace("-", "_")
    found = policy(labels, label_take_precedence=precedence, **{field: globally})
    assert getattr(found, field) is expected


def test_our_own_monitor_only_label_decides_against_the_setting() -> None:
    assert policy({"tidegate.monitor-only": "false"}, monitor_only=True).monitor_only is False


def test_watchtowers_hooks_run_only_when_lifecycle_hooks_are_enabled() -> None:
    labels = {f"{WATCHTOWER}.lifecycle.pre-update": "/busy", f"{WATCHTOWER}.lifecycle.post-check": "/after"}
    assert policy(labels).pre_update is None
    enabled = policy(labels, lifecycle_hooks=True)
    assert (enabled.pre_update, enabled.post_check) == (Hook("/busy", 60.0), Hook("/after", 60.0))


def test_our_own_hooks_always_run() -> None:
    found = policy({"tidegate.hook.drain": "sleep 3", "tidegate.hook.drain-timeout": "5s"})
    assert found.drain_hook == Hook("sleep 3", 5.0)


HOOKS = {
    "pre-check": "pre_check",
    "post-check": "post_check",
    "pre-update": "pre_update",
    "post-update": "post_update",
    "drain": "drain_hook",
}
TIMED = ("pre-update", "post-update", "drain")


@pytest.mark.parametrize(("key", "field"), HOOKS.items())
def test_every_hook_label_reaches_its_field_and_no_other(key: str, field: str) -> None:
    found = policy({f"tidegate.hook.{key}": "mine"})
    assert {name: getattr(found, name) for name in HOOKS.values()} == dict.fromkeys(HOOKS.values()) | {
        field: Hook("mine", 60.0)
    }


@pytest.mark.parametrize("key", TIMED)
def test_every_hook_timeout_label_holds_for_its_hook_and_no_other(key: str) -> None:
    found = policy({**{f"tidegate.hook.{each}": "mine" for each in TIMED}, f"tidegate.hook.{key}-timeout": "90s"})
    timeouts = {each: getattr(found, HOOKS[each]).timeout_s for each in TIMED}
    assert timeouts == dict.fromkeys(TIMED, 60.0) | {key: 90.0}


@pytest.mark.parametrize(
    ("labels", "field", "hook"),
    [
        ({"pre-check": "theirs"}, "pre_check", Hook("theirs", 60.0)),
        ({"post-check": "theirs"}, "post_check", Hook("theirs", 60.0)),
        ({"pre-update": "theirs", "pre-update-timeout": "3"}, "pre_update", Hook("theirs", 180.0)),
        ({"post-update": "theirs", "post-update-timeout": "3"}, "post_update", Hook("theirs", 180.0)),
    ],
)
def test_every_lifecycle_label_of_watchtowers_reaches_its_field_and_ours_beats_it(
    labels: dict[str, str], field: str, hook: Hook
) -> None:
    theirs = {f"{WATCHTOWER}.lifecycle.{key}": value for key, value in labels.items()}
    assert getattr(policy(theirs, lifecycle_hooks=True), field) == hook
    ours = {f"tidegate.hook.{key}": "90s" if key.endswith("timeout") else "ours" for key in labels}
    beaten = getattr(policy({**theirs, **ours}, lifecycle_hooks=True), field)
    assert beaten == Hook("ours", 90.0 if len(labels) > 1 else 60.0)


def test_no_hook_label_is_left_out_of_these() -> None:
    keys = {f"hook.{key}" for key in HOOKS} | {f"hook.{key}-timeout" for key in TIMED}
    assert {label.key for label in LABELS if label.key.startswith("hook.")} == keys


@pytest.mark.parametrize(("minutes", "timeout_s"), [("3", 180.0), ("0", None)])
def test_watchtowers_hook_timeout_is_in_minutes_and_zero_is_unlimited(minutes: str, timeout_s: float | None) -> None:
    labels = {f"{WATCHTOWER}.lifecycle.pre-update": "x", f"{WATCHTOWER}.lifecycle.pre-update-timeout": minutes}
    assert policy(labels, lifecycle_hooks=True).pre_update == Hook("x", timeout_s)


@pytest.mark.parametrize(
    ("labels", "probe"),
    [
        ({"tidegate.probe.http": ":8000/healthz"}, ProbeHttp(8000, "/healthz", 1.0, 5.0)),
        ({"tidegate.probe.http": "8000/ready?deep=1"}, ProbeHttp(8000, "/ready?deep=1", 1.0, 5.0)),
        ({"tidegate.probe.http": ":80"}, ProbeHttp(80, "/", 1.0, 5.0)),
        ({"tidegate.probe.tcp": ":5432", "tidegate.probe.interval": "200ms"}, ProbeTcp(5432, 0.2, 5.0)),
        ({"tidegate.probe.exec": "pg_isready", "tidegate.probe.timeout": "2s"}, ProbeExec("pg_isready", 1.0, 2.0)),
    ],
)
def test_probe_labels_are_read(labels: dict[str, str], probe: object) -> None:
    assert policy(labels).probe == probe


def test_two_probes_on_one_container_are_refused() -> None:
    said = refusal({"tidegate.probe.http": ":80", "tidegate.probe.tcp": ":80"})
    assert "tidegate.probe.tcp" in said
    assert "one probe decides" in said


def test_watchtowers_stop_signal_and_image_labels_are_read() -> None:
    found = policy({f"{WATCHTOWER}.stop-signal": "sighup", "com.centurylinklabs.zodiac.original-image": "acme/web:1"})
    assert (found.stop_signal, found.image) == ("SIGHUP", "acme/web:1")


@pytest.mark.parametrize("signal", ["SIGTERM", "quit", "USR1", "SIGRTMIN+3", "RTMAX-14", "RTMIN", "1", "64"])
def test_a_stop_signal_has_a_name_or_a_number(signal: str) -> None:
    assert policy({f"{WATCHTOWER}.stop-signal": signal}).stop_signal == signal.upper()


@pytest.mark.parametrize(
    ("label", "value", "takes"),
    [
        ("tidegate.enable", "yes", "true or false"),
        (f"{WATCHTOWER}.monitor-only", "on", "true or false"),
        ("tidegate.strategy", "blue-green", "start-first, swap or stop-first"),
        ("tidegate.cut", "slow", "graceful or fast"),
        ("tidegate.settle", "soon", "a duration"),
        ("tidegate.window", "at night", "CRON DURATION"),
        ("tidegate.freeze", "next week", "FROM/TO"),
        ("tidegate.freeze", "2026-12-24/2026-12-20", "ends before it begins: put the earlier date first"),
        ("tidegate.window", "0 2 * * * 4h Mars/Phobos", "names the time zone 'Mars/Phobos', which is not known"),
        ("tidegate.keep-images", "-1", "a whole number"),
        ("tidegate.probe.http", "http://x/", ":PORT/PATH"),
        ("tidegate.probe.tcp", "70000", ":PORT"),
        ("tidegate.probe.interval", "0", "a duration"),
        ("tidegate.freeze", "2026-01-01T00:00/9999-12-31T23:59 America/New_York", "FROM/TO"),
        ("tidegate.freeze", "0001-01-01/2027-01-01 Europe/Berlin", "FROM/TO"),
        (f"{WATCHTOWER}.stop-signal", "KILL ME", "a signal"),
        (f"{WATCHTOWER}.stop-signal", "SIGTREM", "SIGTERM"),
        (f"{WATCHTOWER}.stop-signal", "65", "a signal"),
        (f"{WATCHTOWER}.stop-signal", "SIGRTMIN+16", "a signal"),
        (f"{WATCHTOWER}.lifecycle.pre-update-timeout", "1m", "minutes"),
        (f"{WATCHTOWER}.lifecycle.pre-update-timeout", "9" * 400, "minutes"),
        ("com.centurylinklabs.zodiac.original-image", "Not An Image", "an image reference"),
        ("com.centurylinklabs.zodiac.original-image", f"sha256:{'a' * 64}", "an image reference"),
    ],
)
def test_a_bad_label_is_refused_with_its_name_value_and_what_it_takes(label: str, value: str, takes: str) -> None:
    said = refusal({label: value})
    assert label in said
    assert repr(value) in said
    assert takes in said


def test_every_bad_label_has_its_own_line() -> None:
    assert len(refusal({"tidegate.enable": "maybe", "tidegate.bake": "long"}).splitlines()) == 2


def test_a_misspelt_label_is_reported_with_the_one_that_was_meant() -> None:
    (said,) = label_warnings({"tidegate.stategy": "swap", "tidegate.scope": "x", "unrelated": "y"})
    assert "tidegate.stategy" in said
    assert "Did you mean tidegate.strategy?" in said


def test_labels_that_tidegate_sets_itself_are_not_reported() -> None:
    assert label_warnings(dict.fromkeys(INTERNAL, "x")) == ()
