"""What people may do to a rollout from its page, and how that is said before they do it."""

from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.domain.rollout import Kind, State
from tidegate.domain.rollout_apply import Verb, open_verbs
from tidegate.manager.people.roles import PERMISSIONS, Permission, Role
from tidegate.manager.rollouts.verbs import APPROVE


@dataclass(frozen=True, slots=True)
class Button:
    """One verb: its name on the button, what it will do, whether it takes a reason, how it looks, who may."""

    verb: str
    name: str
    does: str
    looks: str = ""
    permission: Permission = Permission.OPERATE


BUTTONS: Mapping[str, Button] = {
    one.verb: one
    for one in (
        Button(
            APPROVE,
            "Approve",
            "It goes out as soon as enough people have agreed and its windows let it.",
            "primary",
            Permission.APPROVE,
        ),
        Button(
            Verb.REJECT,
            "Reject",
            "It ends here, and no target sees it. A newer release is asked about anew.",
            "danger",
            Permission.APPROVE,
        ),
        Button(Verb.RESUME, "Resume", "It goes on where it stopped; failures so far do not count any more.", "primary"),
        Button(Verb.PAUSE, "Pause", "Nothing more of it begins. What has begun is finished, or put back if it fails."),
        Button(Verb.ADVANCE, "Advance", "The next wave opens now, without waiting for the soak."),
        Button(Verb.RETRY, "Retry", "What has failed, was skipped or was offline is tried again."),
        Button(Verb.ABORT, "Abort", "It ends. What it has updated stays as it is.", "danger"),
        Button(Verb.ROLL_BACK, "Roll back", "What it has updated goes back to what ran before.", "danger"),
    )
}
"""By verbs, in the order in which they are shown."""


def offered(state: State, kind: Kind, role: Role, *, begun: bool) -> list[Button]:
    """What has a meaning now and is for this role. What has ended can go back too, by a rollback of its own."""
    open_to = {str(one) for one in open_verbs(state, kind, begun=begun)}
    if state is State.AWAITING_APPROVAL:
        open_to.add(APPROVE)
    if begun and kind is Kind.UPDATE and state in {State.COMPLETED, State.CANCELLED, State.FAILED}:
        open_to.add(Verb.ROLL_BACK)
    return [one for verb, one in BUTTONS.items() if verb in open_to and one.permission in PERMISSIONS[role]]
