"""The kinds of event that the feed has, for who asks for some of them."""

from typing import Final

from tidegate.domain.rollout_apply import Verb
from tidegate.domain.rollout_effects import Notice
from tidegate.manager.rollouts.verbs import APPROVE

_RULES: Final = frozenset(f"{one}.{act}" for one in ("freeze", "window") for act in ("create", "delete", "update"))
_ROLLOUTS: Final = frozenset(
    f"rollout.{one}" for one in ("created", "leave", "state", "target", APPROVE, *Verb, *Notice)
)
KINDS: Final = (
    _RULES
    | _ROLLOUTS
    | {
        "agent.enrolled",
        "agent.offline",
        "agent.online",
        "agent.refused",
        "agent.revoked",
        "alert.acknowledge",
        "alert.closed",
        "alert.opened",
        "channel.answers",
        "channel.delete",
        "channel.poll",
        "channel.trouble",
        "cluster.update",
        "policy.update",
        "quarantine.add",
        "quarantine.added",
        "quarantine.release",
        "release.named",
        "release.read",
        "release.seen",
        "target.drift",
        "target.drift_over",
        "token.create",
        "token.revoke",
    }
)
