"""Which target is in which wave of a rollout."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.domain.rollout_policy import WaveRule


@dataclass(frozen=True, slots=True)
class Member:
    """A target as waves see it: `labels` are its cluster's."""

    id: str
    labels: Mapping[str, str] = field(default_factory=dict)


def plan_waves(members: Sequence[Member], rules: Sequence[WaveRule]) -> tuple[tuple[str, ...], ...]:
    """The targets' ids, wave by wave, each in exactly one; no wave is empty.

    A percentage is one of all targets, so that `10%, 50%` takes a tenth and then a half. The order of `members` is
    kept, so that the same targets are the canaries each time.
    """
    left, waves = list(members), []
    for rule in rules:
        chosen = _chosen(left, rule, len(members))
        waves.append(chosen)
        taken = {one.id for one in chosen}
        left = [one for one in left if one.id not in taken]
    waves.append(left)
    return tuple(tuple(one.id for one in wave) for wave in waves if wave)


def _chosen(left: Sequence[Member], rule: WaveRule, total: int) -> list[Member]:
    fitting = [one for one in left if rule.labels.items() <= one.labels.items()]
    return fitting if rule.share is None else fitting[: rule.share.of(total)] if total else []
