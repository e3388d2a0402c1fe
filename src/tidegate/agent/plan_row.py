"""One line of `tidegate agent plan`: a container, and what would happen to it."""

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What the next check would do with a container."""

    NONE = "none"
    UPDATE = "update"
    MONITOR = "monitor"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One container. Digests are None where they are not known; `strategy` None where nothing would be replaced.

    `cluster` and `service` are None for a container that is not Compose's. `lost` are the paths (tmpfs) whose contents
    do not outlast an update. The fields, in this order, are the
    objects that `plan --json` prints.
    """

    container: str
    cluster: str | None
    service: str | None
    image: str
    selected: bool
    reason: str
    running_digest: str | None
    latest_digest: str | None
    action: Action
    strategy: str | None
    strategy_reason: str | None
    lost: tuple[str, ...] = ()
