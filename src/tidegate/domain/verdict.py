"""The verdict on a container: from what was observed of it, is it healthy?

Docker's own health check counts where there is one, the probe label where there is one, both where there are
both; where there is neither, the container must keep running, unrestarted, for the settle time. An exit, a
restart or a lack of memory is unhealthy at once. A probe that could not be run says nothing about the release.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import takewhile

from tidegate.domain.durations import format_duration

_OUTPUT_CHARS = 300


class Outcome(StrEnum):
    """How a container does. Every outcome but PENDING is final."""

    PENDING = "pending"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNDECIDED = "undecided"
    """Its deadline passed while it was still starting; as bad as unhealthy."""
    INCONCLUSIVE = "inconclusive"
    """Its deadline passed and the probe itself could not be run: put back, but not the release's fault."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome, and how it showed, as the end of the sentence `web: ...`."""

    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One probe. `conclusive` False: the probe itself could not be run, so `ok` says nothing."""

    ok: bool
    conclusive: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen of a container. `health` is Docker's word: none, starting, healthy or unhealthy.

    `probes` are the results so far, the latest last; None where no probe is asked for. `started_at` carries a
    time zone.
    """

    running: bool
    exit_code: int
    oom_killed: bool
    restart_count: int
    health: str
    health_output: str
    started_at: datetime
    probes: Sequence[ProbeResult] | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked of a container. Every restart is held against it.

    `successes` probes in a row prove it; `failures` in a row condemn it during the bake.
    """

    settle_s: float
    deadline: datetime
    successes: int = 1
    failures: int = 3


def decide(seen: Observation, terms: Terms, now: datetime) -> Verdict:
    """The verdict on a container that boots."""
    broken = _broken(seen)
    if broken:
        return Verdict(Outcome.UNHEALTHY, broken)
    if seen.health == "none" and seen.probes is None:
        return _settled(seen, terms, now)
    waiting = [*_health_lacks(seen), *_probe_lacks(seen, terms)]
    if not waiting:
        return Verdict(Outcome.HEALTHY, _praise(seen))
    reason = " and ".join(reason for _, reason in waiting)
    if now < terms.deadline:
        return Verdict(Outcome.PENDING, reason)
    return Verdict(_at_deadline({outcome for outcome, _ in waiting}), f"at its deadline {reason}")


def decide_bake(seen: Observation, terms: Terms, now: datetime) -> Verdict:
    """The verdict on a container that was proved and serves; healthy when the deadline, the bake's end, passes.

    `seen.probes` are those of the bake.
    """
    broken = _broken(seen)
    if broken:
        return Verdict(Outcome.UNHEALTHY, broken)
    told = [probe for probe in seen.probes or () if probe.conclusive]
    failed = list(takewhile(lambda probe: not probe.ok, reversed(told)))
    if len(failed) >= terms.failures:
        return Verdict(Outcome.UNHEALTHY, f"its probe failed {len(failed)} times in a row: {failed[0].detail}")
    if now < terms.deadline:
        return Verdict(Outcome.PENDING, "it is watched while it serves")
    return Verdict(Outcome.HEALTHY, "it kept serving")


def _broken(seen: Observation) -> str | None:
    if not seen.running:
        cause = " for lack of memory" if seen.oom_killed else ""
        return f"it exited with code {seen.exit_code}{cause}"
    if seen.restart_count > 0:
        times = "once" if seen.restart_count == 1 else f"{seen.restart_count} times"
        cause = ", for lack of memory" if seen.oom_killed else ""
        return f"it restarted {times}{cause}; its last exit code was {seen.exit_code}"
    if seen.oom_killed:
        return "a process in it was killed for lack of memory"
    if seen.health == "unhealthy":
        return f"its health check fails{_quote(seen.health_output)}"
    return None


def _settled(seen: Observation, terms: Terms, now: datetime) -> Verdict:
    # the deadline does not count here: whoever asks for a longer settle time than that gets it
    wanted = format_duration(terms.settle_s)
    if (now - seen.started_at).total_seconds() >= terms.settle_s:
        return Verdict(Outcome.HEALTHY, f"it kept running for {wanted}")
    return Verdict(Outcome.PENDING, f"it has to keep running for {wanted}")


def _health_lacks(seen: Observation) -> list[tuple[Outcome, str]]:
    if seen.health in {"none", "healthy"}:
        return []
    return [(Outcome.UNDECIDED, f"its health check is still starting{_quote(seen.health_output)}")]


def _probe_lacks(seen: Observation, terms: Terms) -> list[tuple[Outcome, str]]:
    """What the probe still lacks, with what that comes to at the deadline."""
    if seen.probes is None:
        return []
    if not seen.probes:
        return [(Outcome.INCONCLUSIVE, "its probe has not been run yet")]
    last = seen.probes[-1]
    if not last.conclusive:
        return [(Outcome.INCONCLUSIVE, f"its probe could not be run: {last.detail}")]
    if not last.ok:
        return [(Outcome.UNHEALTHY, f"its probe fails: {last.detail}")]
    in_a_row = len(list(takewhile(lambda probe: probe.ok and probe.conclusive, reversed(seen.probes))))
    if in_a_row < terms.successes:
        return [(Outcome.UNDECIDED, f"its probe succeeded {in_a_row} of {terms.successes} times in a row")]
    return []


def _at_deadline(lacks: set[Outcome]) -> Outcome:
    # a failing probe is the release's fault; one that cannot be run casts doubt on the rest
    for outcome in (Outcome.UNHEALTHY, Outcome.INCONCLUSIVE):
        if outcome in lacks:
            return outcome
    return Outcome.UNDECIDED


def _praise(seen: Observation) -> str:
    checks = [
        *(["health check"] if seen.health != "none" else []),
        *(["probe"] if seen.probes is not None else []),
    ]
    return f"its {' and '.join(checks)} succeeded"


def _quote(output: str) -> str:
    """The end of what a health check printed, on one line."""
    line = " ".join(output.split())
    if not line:
        return ""
    return f": {line if len(line) <= _OUTPUT_CHARS else '...' + line[-_OUTPUT_CHARS:]}"
