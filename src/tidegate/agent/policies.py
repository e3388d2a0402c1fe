"""Under which policy a container is replaced, also where only the journal still tells of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tidegate.agent.replacement import Replacement
from tidegate.domain.policy import Policy, PolicyDefaults, PolicyError, resolve_policy
from tidegate.domain.recreate_candidate import labels_of
from tidegate.domain.transaction import Strategy


def of_follower(parent: Policy) -> Policy:
    """For a container that is made anew because one whose namespaces it shares is.

    It is given the parent's time; the parent's probe, hooks and signals are not meant for it.
    """
    return replace(
        parent,
        probe=None,
        drain_hook=None,
        post_update=None,
        stop_signal=None,
        stop_timeout_s=None,
        strategy=Strategy.STOP_FIRST,
    )


def policies_of(replacements: Sequence[Replacement], defaults: PolicyDefaults) -> dict[str, Policy]:
    """By the replacements' ids: what the labels of the containers said that were there before, the image's included.

    A follower's own labels were never looked at, and may be unusable.
    """
    own = {it.name: _own(labels_of(it.saved), defaults) for it in replacements if not it.follows}
    plain = resolve_policy({}, defaults)
    return {it.id: of_follower(own.get(it.parent, plain)) if it.follows else own[it.name] for it in replacements}


def _own(labels: Mapping[str, str], defaults: PolicyDefaults) -> Policy:
    """The defaults where an agent of another version took labels that this one does not."""
    try:
        return resolve_policy(labels, defaults)
    except PolicyError:
        return resolve_policy({}, defaults)
