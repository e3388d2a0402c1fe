"""What a window or a freeze is for, in words."""

from collections.abc import Iterable, Mapping

from tidegate.manager.rollouts.gates import Scope

_NAMED = 3
EVERYTHING = "everything"


def scope_words(scope: Scope, channels: Mapping[int, str]) -> str:
    """Such as `acme/app:1 in shop@berlin, where ring=early`; `channels` are names by number."""
    words = _some(channels.get(one, f"channel {one}") for one in sorted(scope.channels))
    if scope.clusters:
        words = f"{words or EVERYTHING} in {_some(sorted(scope.clusters))}"
    if scope.labels:
        words = (
            f"{words or EVERYTHING}, where {_some(f'{name}={value}' for name, value in sorted(scope.labels.items()))}"
        )
    return words or EVERYTHING


def is_wide(scope: Scope) -> bool:
    """Whether it is for everything."""
    return not (scope.channels or scope.clusters or scope.labels)


def _some(names: Iterable[str]) -> str:
    each = list(names)
    shown = ", ".join(each[:_NAMED])
    return f"{shown} and {len(each) - _NAMED} more" if len(each) > _NAMED else shown
