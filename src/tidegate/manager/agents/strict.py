"""What is accepted of an agent beyond the form of its messages."""

import re
from collections.abc import Sequence
from typing import Any

from tidegate.domain.reference import InvalidReferenceError, parse_reference
from tidegate.protocol.events import Event, Inventory, Sighting
from tidegate.protocol.fields import MessageError
from tidegate.protocol.version import OLDEST, PROTOCOL, is_spoken

_NAME = r"[^\s/@\x00-\x1f\x7f]{1,200}"
_TARGET = re.compile(rf"{_NAME}/{_NAME}")
_ALL = range(OLDEST, PROTOCOL + 1)


class NotSpokenError(Exception):
    """The agent speaks a protocol that this manager does not, or no more."""

    def __init__(self, protocol: int) -> None:
        one = ", ".join(map(str, _ALL))
        super().__init__(
            f"this manager speaks protocol {one}, and not {protocol}; bring the older of the two up to date"
        )
        self.accepted = list(_ALL)


def check_protocol(message: Any) -> None:
    """Raises `NotSpokenError`. What is no message at all is for its reader to tell."""
    protocol = message.get("protocol") if isinstance(message, dict) else None
    if isinstance(protocol, int) and not isinstance(protocol, bool) and not is_spoken(protocol):
        raise NotSpokenError(protocol)


def check_events(events: Sequence[Event], most_targets: int) -> None:
    """Raises `MessageError`."""
    for index, event in enumerate(events):
        if isinstance(event, Inventory):
            _check_inventory(event, f"events[{index}]", most_targets)
        elif isinstance(event, Sighting):
            _check_sighting(event, f"events[{index}]")


def _check_inventory(event: Inventory, at: str, most: int) -> None:
    if len(event.targets) > most:
        why = f"it has {len(event.targets)} entries; at most {most} are accepted here (TIDEGATE_AGENT_TARGETS)"
        raise MessageError(f"{at}.targets", why)
    names: set[str] = set()
    for index, one in enumerate(event.targets):
        where = f"{at}.targets[{index}].target"
        if _TARGET.fullmatch(one.target) is None:
            raise MessageError(where, "it is no target, which is PROJECT/SERVICE, neither with blanks, / or @")
        if one.target in names:
            raise MessageError(where, f"{one.target} is there twice")
        names.add(one.target)


def _check_sighting(event: Sighting, at: str) -> None:
    try:
        found = parse_reference(f"{event.repository}:{event.tag}")
    except InvalidReferenceError as error:
        raise MessageError(at, str(error)) from None
    if (found.name, found.tag) != (event.repository, event.tag):
        raise MessageError(f"{at}.repository", f"it is not in full; {found.name} is")
