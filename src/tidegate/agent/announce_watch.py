"""Keeps everybody's idea of who is where on one bridge true while a container is replaced.

As a program, `python -m tidegate.agent.announce_watch SUBNET SECONDS [ADDRESS|PORT...]`, it runs for that long in
the host's network namespace: in a helper container, for an agent that lives in a container itself.
"""

import sys
import threading
import time
from collections.abc import Collection, Sequence

from tidegate.agent import announce_arp, announce_conntrack, announce_netlink
from tidegate.agent.announce_arp import Interface
from tidegate.agent.announce_netlink import RESOLVED, UNRESOLVED, Neighbour

TICK_S = 0.01
_USAGE = "usage: python -m tidegate.agent.announce_watch SUBNET SECONDS [VACATED_ADDRESS|HOST_PORT...]\n"


class Watch:
    """Mends what would make clients wait on `bridge` while somebody else comes to the `vacated` addresses."""

    def __init__(self, bridge: Interface, vacated: Collection[str]) -> None:
        self._bridge = bridge
        self._vacated = frozenset(vacated)
        self._away: set[str] = set()

    def tick(self) -> None:
        """Look once. Raises OSError (PermissionError without NET_RAW and NET_ADMIN).

        An unresolved entry is asked for now: the kernel asks again only after a second. An entry that points
        to an interface the bridge has lost is dropped: what is sent to it is lost, and clients repeat a lost
        request only after a second; without the entry it is queued. When the address is back, all are told.
        """
        entries = {entry.ip: entry for entry in announce_netlink.neighbours(self._bridge.index)}
        self._ask([entry.ip for entry in entries.values() if entry.state & UNRESOLVED])
        known = announce_netlink.learned(self._bridge.index)
        for ip in self._vacated:
            self._look_at(ip, entries.get(ip), known)

    def _ask(self, missing: Sequence[str]) -> None:
        bridge = self._bridge
        if missing:
            announce_arp.send(bridge.name, [announce_arp.who_has(ip, bridge.mac, bridge.ip) for ip in missing])

    def _look_at(self, ip: str, entry: Neighbour | None, known: Collection[str]) -> None:
        if entry is None:
            self._away.add(ip)
            announce_netlink.probe(self._bridge.index, ip)
        elif not entry.state & RESOLVED:
            self._away.add(ip)
        elif entry.mac not in known:
            self._away.add(ip)
            announce_netlink.forget(self._bridge.index, ip)
        elif ip in self._away:
            self._away.discard(ip)
            frame = announce_arp.gratuitous(self._bridge.mac, ip, entry.mac)
            announce_arp.send(self._bridge.name, [frame])


def main(arguments: Sequence[str]) -> int:
    """Look every 10 ms for the given time. 0 when it passed, 2 where the arguments or this place are wrong."""
    if len(arguments) < 2:  # noqa: PLR2004 - the two that the usage names
        return _refuse(_USAGE)
    subnet, seconds, *left = arguments
    ports = {int(word) for word in left if word.isdecimal()}
    vacated = [word for word in left if not word.isdecimal()]
    bridge = announce_arp.interface_in([subnet])
    if bridge is None or not announce_netlink.is_bridge(bridge.index):
        return _refuse(f"no bridge with an address in {subnet} here; run this in the host's network namespace\n")
    watch, end = Watch(bridge, vacated), time.monotonic() + float(seconds)
    # the cut begins any moment: the watch does not wait for this
    threading.Thread(target=_forget, args=(vacated, ports), daemon=True).start()
    while time.monotonic() < end:
        try:
            watch.tick()
        except OSError as error:  # the bridge went away: so did those who wait for something on it
            return _refuse(f"stopped watching {bridge.name}: {error}\n")
        time.sleep(TICK_S)
    return 0


def _forget(vacated: Sequence[str], ports: Collection[int]) -> None:
    try:
        announce_conntrack.forget_closed(vacated, ports)
    except OSError as error:
        sys.stderr.write(f"closed connections stay, the cut may take longer: {error}\n")


def _refuse(message: str) -> int:
    sys.stderr.write(message)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
