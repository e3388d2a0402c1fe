"""A channel's policy as people write it: a document of plain values, read into rules, and written back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeVar

from tidegate.domain.durations import EXAMPLES, duration_text, parse_duration
from tidegate.domain.rollout_policy import (
    BusyThen,
    Mode,
    OnFailure,
    PolicyError,
    RolloutPolicy,
    Share,
    WaveRule,
    parse_share,
)
from tidegate.domain.values import not_known
from tidegate.domain.windows import Freeze, Window, WindowError, parse_freeze, parse_window

_DAYS = timedelta(days=366)
_MOST_APPROVALS = 10
_ALL_PERCENT = 100
Document = Mapping[str, Any]
T = TypeVar("T")
Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class ChannelPolicy:
    """What becomes of a channel's new releases.

    `minimum_age` is how long a release must have been known before it goes out. `windows` and `freezes` are as people
    write them. A rollout waits for `rollout.approvals` people: under `automatic` for nobody, under `pinned` and
    `monitor-only`, where they are begun by hand, for nobody unless it says so.
    """

    mode: Mode = Mode.AUTOMATIC
    minimum_age: timedelta = timedelta()
    windows: tuple[str, ...] = ()
    freezes: tuple[str, ...] = ()
    rollout: RolloutPolicy = field(default_factory=RolloutPolicy)


class ChannelPolicyError(ValueError):
    """A document that cannot be used; `faults` maps each field at fault to a sentence that says what it takes."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {why}" for name, why in faults.items()))
        self.faults = dict(faults)


def read_channel_policy(document: Document) -> ChannelPolicy:
    """Read a document; what is not in it has its default. Raises `ChannelPolicyError` with every fault at once."""
    reader = _Reader(document)
    mode = reader.take("mode", _choice(Mode), Mode.AUTOMATIC)
    policy = ChannelPolicy(
        mode=mode,
        minimum_age=reader.take("minimum_age", _duration, timedelta()),
        windows=reader.take("windows", _texts(parse_window), ()),
        freezes=reader.take("freezes", _texts(parse_freeze), ()),
        rollout=_rollout(reader, mode),
    )
    _fit_together(policy, reader)
    reader.finish()
    return policy


def _fit_together(policy: ChannelPolicy, reader: "_Reader") -> None:
    rollout = policy.rollout
    if rollout.healthy_deadline > rollout.progress_deadline:
        within, healthy = duration_text(rollout.progress_deadline), duration_text(rollout.healthy_deadline)
        told = f"{within} is shorter than healthy_deadline, {healthy}"
        reader.faults.setdefault("progress_deadline", told)
    if policy.minimum_age >= rollout.expires:
        age, expires = duration_text(policy.minimum_age), duration_text(rollout.expires)
        told = f"{age} is not shorter than expires, {expires}: none would begin"
        reader.faults.setdefault("minimum_age", told)


def _rollout(reader: "_Reader", mode: Mode) -> RolloutPolicy:
    default = RolloutPolicy()
    asked = reader.take("approvals", _whole(0, _MOST_APPROVALS), 1 if mode is Mode.APPROVAL else 0)
    if mode is Mode.APPROVAL and asked == 0:
        reader.faults["approvals"] = "mode is approval, so at least 1"
    if mode is Mode.AUTOMATIC and asked > 0:
        reader.faults["approvals"] = f"mode is automatic, which asks nobody; write mode approval, or leave {asked} out"
    return RolloutPolicy(
        waves=reader.take("waves", _waves, default.waves),
        parallel=reader.take("parallel", _share, default.parallel),
        success_percent=reader.take("success_percent", _whole(1, _ALL_PERCENT), default.success_percent),
        failure_threshold=reader.take("failure_threshold", _share, default.failure_threshold),
        healthy_for=reader.take("healthy_for", _duration, default.healthy_for),
        healthy_deadline=reader.take("healthy_deadline", _longer, default.healthy_deadline),
        progress_deadline=reader.take("progress_deadline", _longer, default.progress_deadline),
        soak=reader.take("soak", _duration, default.soak),
        on_failure=reader.take("on_failure", _choice(OnFailure), default.on_failure),
        busy_wait=reader.take("busy_wait", _duration, default.busy_wait),
        busy_then=reader.take("busy_then", _choice(BusyThen), default.busy_then),
        approvals=asked,
        approval_expires=reader.take("approval_expires", _longer, default.approval_expires),
        expires=reader.take("expires", _longer, default.expires),
    )


def write_channel_policy(policy: ChannelPolicy) -> dict[str, Any]:
    """The document that is read as this policy, complete."""
    rollout = policy.rollout
    own = {
        "mode": str(policy.mode),
        "minimum_age": duration_text(policy.minimum_age),
        "windows": list(policy.windows),
        "freezes": list(policy.freezes),
    }
    rules = {one.name: _plain(getattr(rollout, one.name)) for one in fields(rollout)}
    return own | rules


class _Reader:
    def __init__(self, document: Document) -> None:
        self._left = dict(document)
        self._known: list[str] = []
        self.faults: dict[str, str] = {}

    def take(self, name: str, read: Callable[[Any], T], default: T) -> T:
        self._known.append(name)
        value = self._left.pop(name, None)
        if value is None:
            return default
        try:
            return read(value)
        except (PolicyError, WindowError) as error:
            self.faults[name] = str(error)
            return default

    def finish(self) -> None:
        for name in self._left:
            self.faults[str(name)] = not_known(str(name), sorted(self._known))
        if self.faults:
            raise ChannelPolicyError(self.faults)


def _choice(kind: type[Choice]) -> Callable[[Any], Choice]:
    def read(value: Any) -> Choice:
        for one in kind:
            if value == str(one):
                return one
        raise PolicyError(f"{value!r} is not one of {', '.join(kind)}")

    return read


def _duration(value: Any) -> timedelta:
    try:
        found = timedelta(milliseconds=round(1000 * parse_duration(value if isinstance(value, str) else "")))
    except (ValueError, OverflowError):
        found = timedelta(-1)
    if not timedelta() <= found <= _DAYS:
        raise PolicyError(f"{value!r} is not {EXAMPLES}, at most a year")
    return found


def _longer(value: Any) -> timedelta:
    found = _duration(value)
    if not found:
        raise PolicyError(f"{value!r} is no time at all; it has to be longer")
    return found


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise PolicyError(f"{value!r} is not a whole number from {least} to {most}")
        return value

    return read


def _share(value: Any) -> Share:
    return parse_share(str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else repr(value))


def _texts(parse: Callable[[str], Window | Freeze]) -> Callable[[Any], tuple[str, ...]]:
    def read(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise PolicyError(f"{value!r} is not a list of texts")
        for one in value:
            parse(one)
        return tuple(value)

    return read


def _waves(value: Any) -> tuple[WaveRule, ...]:
    if not isinstance(value, list):
        raise PolicyError(f"{value!r} is not a list of waves, such as [1, '25%', {{'labels': {{'ring': 'early'}}}}]")
    return tuple(_wave(one) for one in value)


def _wave(value: Any) -> WaveRule:
    if not isinstance(value, Mapping):
        return WaveRule(_share(value))
    labels, share = value.get("labels", {}), value.get("share")
    strange = [name for name in value if name not in {"labels", "share"}]
    texts = isinstance(labels, Mapping) and all(isinstance(one, str) for pair in labels.items() for one in pair)
    if strange or not texts or not (labels or share):
        raise PolicyError(f"{dict(value)!r} is not a wave: it has a share, labels (names and values), or both")
    return WaveRule(None if share is None else _share(share), dict(labels))


def _plain(value: Any) -> Any:
    match value:
        case timedelta():
            return duration_text(value)
        case Share() | StrEnum():
            return str(value)
        case tuple():
            return [_plain(one) for one in value]
        case WaveRule(share=share, labels=labels):
            return _wave_document(share, labels)
        case _:
            return value


def _wave_document(share: Share | None, labels: Mapping[str, str]) -> str | dict[str, Any]:
    if share is not None and not labels:
        return str(share)
    return {"labels": dict(labels)} | ({} if share is None else {"share": str(share)})
