"""How a cluster stands, in one word: by its services, and by whether its agent is heard."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Standing(StrEnum):
    """The worst comes first."""

    OFFLINE = "offline"
    FAILED = "failed"
    UPDATING = "updating"
    BEHIND = "behind"
    HELD = "held"
    CURRENT = "current"


_ORDER = {one: at for at, one in enumerate(Standing)}


@dataclass(frozen=True, slots=True)
class Service:
    """One target, as far as it matters here. `newest`: the digest that its channel names and that may run there.

    `newest` and `digest` are empty where they are not known; `failed` is why its latest update went wrong, if it did.
    """

    name: str
    digest: str = ""
    version: str = ""
    newest: str = ""
    newest_version: str = ""
    channel: int | None = None
    health: str = ""
    held: bool = False
    updating: bool = False
    failed: str | None = None
    reason: str = ""
    drifted: bool = False

    @property
    def standing(self) -> Standing:
        """By itself, whoever is beside it."""
        if self.failed is not None or self.health == "unhealthy":
            return Standing.FAILED
        if self.updating:
            return Standing.UPDATING
        if self.held:
            return Standing.HELD
        behind = self.newest and self.digest and self.newest != self.digest
        return Standing.BEHIND if behind else Standing.CURRENT

    @property
    def why(self) -> str:
        """In a few words; empty where nothing is to be said."""
        match self.standing:
            case Standing.FAILED if self.failed is None:
                return "it is unhealthy"
            case Standing.FAILED:
                return self.failed or "its update failed"
            case Standing.HELD:
                return self.reason or "its agent leaves it alone"
            case Standing.BEHIND:
                return f"{self.newest_version or self.newest[7:19]} is out"
            case _:
                return ""


def standing(services: Sequence[Service], *, online: bool) -> Standing:
    """Of a cluster: that of the service that stands worst. Who is not heard may stand anyhow."""
    if not online:
        return Standing.OFFLINE
    return min((one.standing for one in services), key=_ORDER.__getitem__, default=Standing.CURRENT)


def counted(standings: Sequence[Standing]) -> dict[Standing, int]:
    """How many stand how, with those that none does."""
    found = Counter(standings)
    return {one: found[one] for one in Standing}


def by_badness(one: Standing) -> int:
    """For sorting: the worst first."""
    return _ORDER[one]
