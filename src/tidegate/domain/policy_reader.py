"""Reads the labels of one container into a `Policy`, collecting every value that cannot be used."""

import math
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from tidegate.domain.durations import parse_duration
from tidegate.domain.labels import (
    BY_FULL_NAME,
    BY_KEY,
    FOLLOWS,
    INTERNAL,
    KNOWN_OWN,
    KNOWN_WATCHTOWER,
    ORIGINAL_IMAGE,
    OWN,
    STOP_SIGNAL,
    WATCHTOWER,
)
from tidegate.domain.policy import (
    BadLabel,
    Cut,
    Hook,
    Policy,
    PolicyDefaults,
    Probe,
    ProbeExec,
    ProbeHttp,
    ProbeTcp,
)
from tidegate.domain.reference import parse_reference
from tidegate.domain.rollout_policy import BusyThen
from tidegate.domain.signals import parse_signal
from tidegate.domain.transaction import Strategy
from tidegate.domain.values import near_miss, parse_bool, split_list
from tidegate.domain.windows import WindowError, parse_freezes, parse_windows

T = TypeVar("T")

HOOK_TIMEOUT_S = 60.0
PROBE_INTERVAL_S = 1.0
PROBE_TIMEOUT_S = 5.0

_PROBE_HTTP = re.compile(r":?(\d{1,5})(/\S*)?")
_PROBE_TCP = re.compile(r":?(\d{1,5})")
_LAST_PORT = 65535


class LabelReader:
    """The labels of one container; `bad` collects those whose value cannot be used."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = labels
        self.bad: list[BadLabel] = []

    def raw(self, key: str) -> str | None:
        """Our own label, else Watchtower's; blank counts as not set."""
        name = self._name(key)
        return self._labels[name].strip() if name else None

    def own(self, key: str, read: Callable[[str], T]) -> T | None:
        """The value of our own label only."""
        return self._read(f"{OWN}{key}", read, BY_KEY[key].takes)

    def watchtower(self, key: str, read: Callable[[str], T], takes: str = "") -> T | None:
        """The value of Watchtower's label only."""
        return self._read(BY_KEY[key].watchtower, read, takes or BY_KEY[key].takes)

    def either(self, key: str, read: Callable[[str], T]) -> T | None:
        """The value of our own label, else of Watchtower's."""
        name = self._name(key)
        return self._read(name, read, BY_KEY[key].takes) if name else None

    def full(self, name: str, read: Callable[[str], T], takes: str) -> T | None:
        """The value of a label by its full name."""
        return self._read(name, read, takes)

    def reject(self, key: str, takes: str) -> None:
        """Note that our own label cannot be used as it is."""
        name = f"{OWN}{key}"
        self.bad.append(BadLabel(name, self._labels.get(name, ""), takes))

    def _name(self, key: str) -> str | None:
        names = (f"{OWN}{key}", BY_KEY[key].watchtower)
        return next((name for name in names if self._labels.get(name, "").strip()), None)

    def _read(self, name: str, read: Callable[[str], T], takes: str) -> T | None:
        text = self._labels.get(name, "").strip()
        if not text:
            return None
        try:
            return read(text)
        except (ValueError, OverflowError) as error:
            self.bad.append(BadLabel(name, text, takes, str(error) if isinstance(error, WindowError) else ""))
            return None


def read_policy(labels: LabelReader, defaults: PolicyDefaults) -> Policy:
    """The policy; what could not be read is in `labels.bad` and has its default here."""
    return Policy(
        enable=labels.either("enable", parse_bool),
        scope=labels.raw("scope"),
        monitor_only=_global_or_label(labels, "monitor-only", defaults.monitor_only, defaults),
        no_pull=_global_or_label(labels, "no-pull", defaults.no_pull, defaults),
        strategy=_strategy(labels, defaults),
        ingress_networks=_else(labels.own("ingress-networks", split_list), defaults.ingress_networks),
        overlap=_else(labels.own("overlap", parse_bool), defaults.overlap),
        cut=_else(labels.own("cut", Cut), defaults.cut),
        drain_s=_seconds(labels, "drain", defaults.drain_s),
        pre_check=_hook(labels, "pre-check", defaults),
        post_check=_hook(labels, "post-check", defaults),
        pre_update=_hook(labels, "pre-update", defaults),
        post_update=_hook(labels, "post-update", defaults),
        drain_hook=_hook(labels, "drain", defaults),
        probe=_probe(labels),
        settle_s=_seconds(labels, "settle", defaults.settle_s),
        health_timeout_s=_seconds(labels, "health-timeout", defaults.health_timeout_s),
        bake_s=_seconds(labels, "bake", defaults.bake_s),
        windows=_else(labels.own("window", window_specs), defaults.windows),
        freezes=defaults.freezes + _else(labels.own("freeze", freeze_specs), ()),
        busy_wait_s=_seconds(labels, "busy-wait", defaults.busy_wait_s),
        busy_then=_else(labels.own("busy-then", parse_busy_then), defaults.busy_then),
        cooldown_s=_seconds(labels, "cooldown", defaults.cooldown_s),
        group=labels.own("group", str),
        depends_on=labels.either("depends-on", _names),
        keep_images=_else(labels.own("keep-images", parse_count), defaults.keep_images),
        stop_signal=labels.full(STOP_SIGNAL, parse_signal, BY_FULL_NAME[STOP_SIGNAL].takes),
        stop_timeout_s=_whole(defaults.stop_timeout_s),
        image=_followed(labels),
    )


def _followed(labels: LabelReader) -> str | None:
    """What is followed in place of the container's own image, if anything."""
    takes = BY_FULL_NAME[ORIGINAL_IMAGE].takes
    return labels.full(FOLLOWS, _image, takes) or labels.full(ORIGINAL_IMAGE, _image, takes)


def _whole(seconds: float | None) -> float | None:
    """An engine waits in whole seconds, and kills at once where it is given none."""
    return None if seconds is None else float(math.ceil(seconds))


def label_warnings(labels: Mapping[str, str]) -> tuple[str, ...]:
    """One sentence for each label that looks like ours or Watchtower's and is neither."""
    known = {*KNOWN_OWN, *KNOWN_WATCHTOWER, *INTERNAL}
    strange = [name for name in labels if name.startswith((OWN, f"{WATCHTOWER}.")) and name not in known]
    names = [*KNOWN_OWN, *KNOWN_WATCHTOWER]
    return tuple(f"label {name} is not known and has no effect.{near_miss(name, names)}" for name in strange)


def window_specs(text: str) -> tuple[str, ...]:
    """Windows separated by `;`, each one that can be parsed. Raises ValueError."""
    parse_windows(text)
    return _specs(text)


def freeze_specs(text: str) -> tuple[str, ...]:
    """Freezes separated by `;`, each one that can be parsed. Raises ValueError."""
    parse_freezes(text)
    return _specs(text)


def parse_count(text: str) -> int:
    """A whole number that is not negative. Raises ValueError."""
    if not text.isascii() or not text.isdecimal():
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def parse_strategy(text: str) -> Strategy | None:
    """None for `auto`. Raises ValueError."""
    return None if text == "auto" else Strategy(text)


def parse_busy_then(text: str) -> BusyThen:
    """What an agent does by itself: of an assignment the manager's policy says it. Raises ValueError."""
    if text == BusyThen.FAIL:
        raise ValueError(f"{text!r} is for rollouts")
    return BusyThen(text)


def _specs(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(";") if part.strip())


def _else(value: T | None, default: T) -> T:
    return default if value is None else value


def _seconds(labels: LabelReader, key: str, default: float) -> float:
    return _else(labels.own(key, parse_duration), default)


def _global_or_label(labels: LabelReader, key: str, globally: bool, defaults: PolicyDefaults) -> bool:
    """Our label decides; Watchtower's only adds to the agent's setting, unless labels take precedence."""
    own = labels.own(key, parse_bool)
    theirs = labels.watchtower(key, parse_bool)
    if own is not None:
        return own
    if defaults.label_take_precedence and theirs is not None:
        return theirs
    return globally or bool(theirs)


def _strategy(labels: LabelReader, defaults: PolicyDefaults) -> Strategy | None:
    asked = labels.own("strategy", parse_strategy)
    return None if labels.raw("strategy") == "auto" else asked or defaults.strategy


def _hook(labels: LabelReader, key: str, defaults: PolicyDefaults) -> Hook | None:
    """Watchtower's hooks run only with `--enable-lifecycle-hooks`, as there; our own always do."""
    command = labels.own(f"hook.{key}", str)
    if command is None and defaults.lifecycle_hooks:
        command = labels.watchtower(f"hook.{key}", str)
    timeout_s = _hook_timeout(labels, f"hook.{key}-timeout")
    return None if command is None else Hook(command, timeout_s or None)


def _hook_timeout(labels: LabelReader, key: str) -> float:
    if key not in BY_KEY:
        return HOOK_TIMEOUT_S
    own = labels.own(key, parse_duration)
    theirs = labels.watchtower(key, _minutes, "a whole number of minutes")
    return _else(own, _else(theirs, HOOK_TIMEOUT_S))


def _minutes(text: str) -> float:
    """In seconds. Raises ValueError."""
    return parse_duration(f"{parse_count(text)}m")


def _probe(labels: LabelReader) -> Probe | None:
    interval_s = _else(labels.own("probe.interval", _positive_duration), PROBE_INTERVAL_S)
    timeout_s = _else(labels.own("probe.timeout", _positive_duration), PROBE_TIMEOUT_S)
    http = labels.own("probe.http", _http_target)
    port = labels.own("probe.tcp", _tcp_port)
    command = labels.own("probe.exec", str)
    given = [key for key in ("probe.http", "probe.tcp", "probe.exec") if labels.raw(key)]
    if len(given) > 1:
        labels.reject(given[1], f"nothing beside {OWN}{given[0]}: one probe decides")
    if http is not None:
        return ProbeHttp(http[0], http[1], interval_s, timeout_s)
    if port is not None:
        return ProbeTcp(port, interval_s, timeout_s)
    return None if command is None else ProbeExec(command, interval_s, timeout_s)


def _positive_duration(text: str) -> float:
    seconds = parse_duration(text)
    if seconds <= 0:
        raise ValueError(f"{text!r} is not longer than nothing")
    return seconds


def _http_target(text: str) -> tuple[int, str]:
    found = _PROBE_HTTP.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not :PORT/PATH")
    return _port(found[1]), found[2] or "/"


def _tcp_port(text: str) -> int:
    found = _PROBE_TCP.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not :PORT")
    return _port(found[1])


def _port(digits: str) -> int:
    port = int(digits)
    if not 0 < port <= _LAST_PORT:
        raise ValueError(f"{port} is not a port")
    return port


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.removeprefix("/") for name in split_list(text))


def _image(text: str) -> str:
    parse_reference(text)
    return text
