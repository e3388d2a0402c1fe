"""What the agent has seen behind tags, on its way to the manager: after what tells it which of them it follows."""

from collections.abc import Callable, Iterable

from tidegate.protocol.events import InventoryTarget, Sighting

Channel = tuple[str, str | None]


class Sightings:
    """The manager takes a sighting only for a channel that a target follows, of which an inventory has told it.

    Others wait for that inventory. `tell` may raise; what it was to tell waits then, too.
    """

    def __init__(self, tell: Callable[[Sighting], None]) -> None:
        self._tell = tell
        self._followed: frozenset[Channel] = frozenset()
        self._waiting: dict[Channel, Sighting] = {}
        self._told: dict[Channel, str] = {}

    def take(self, found: Iterable[Sighting]) -> None:
        """Tell what is new of these, now or later."""
        for one in found:
            channel = (one.repository, one.tag)
            if self._told.get(channel) == one.digest:
                self._waiting.pop(channel, None)
            else:
                self._waiting[channel] = one
        self._tell_what_may_be_told()

    def inventory_told(self, targets: Iterable[InventoryTarget]) -> None:
        """The manager is told of these; what is not followed any more is told anew when it is again."""
        self._followed = frozenset((one.repository, one.tag) for one in targets)
        self._told = {channel: digest for channel, digest in self._told.items() if channel in self._followed}
        self._tell_what_may_be_told()

    def tell_anew(self) -> None:
        """The manager has lost events: all of it is told again, after the next inventory."""
        self._followed = frozenset()
        self._told.clear()

    def _tell_what_may_be_told(self) -> None:
        for channel in [one for one in self._waiting if one in self._followed]:
            self._tell(self._waiting[channel])
            self._told[channel] = self._waiting.pop(channel).digest
