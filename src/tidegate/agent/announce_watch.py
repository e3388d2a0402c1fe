"""Keeps the host's idea of who is where on one bridge true while a container is replaced.

As a program, `python -m tidegate.agent.announce_watch SUBNET SECONDS [VACATED...]`, it runs for that long in the
host's network namespace, in a helper container of an agent that lives in a container itself.
"""

import sys
import time
from collections.abc import Collection, Sequence

from tidegate.agent import announce_arp, announce_netlink
from tidegate.agent.announce_arp import Interface

TICK_S = 0.01
_USAGE = "usage: python -m tidegate.agent.announce_watch SUBNET SECONDS [VACATED_ADDRESS...]"


def tidy(bridge: Interface, vacated: Collection[str]) -> None:
    """Look once, and mend what would make clients wait. Raises OSError.

    An unresolved entry is asked for now; the kernel would ask again only after a second. A resolved entry of a
    `vacated` address whose interface the bridge has lost is dropped: what is sent to it would be lost, and a
    client repeats a lost request only after a second; without the entry it is queued until the address is back.
    """
    entries = announce_netlink.neighbours(bridge.index)
    missing = [entry.ip for entry in entries if entry.state & announce_netlink.UNRESOLVED]
    if missing:
        frames = [announce_arp.who_has(ip, bridge.mac, bridge.ip) for ip in missing]
        announce_arp.send(bridge.name, frames)
    held = [entry for entry in entries if entry.ip in vacated and entry.state & announce_netlink.RESOLVED]
    if held:
        known = announce_netlink.learned(bridge.index)
        for entry in held:
            if entry.mac not in known:
                announce_netlink.forget(bridge.index, entry.ip)


def main(arguments: Sequence[str]) -> int:
    """Look every 10 ms for the given time. 0 when it passed, 2 where the arguments or this place are wrong."""
    if len(arguments) < 2:  # noqa: PLR2004 - the two that the usage names
        return _refuse(_USAGE)
    subnet, seconds, *vacated = arguments
    bridge = announce_arp.interface_in([subnet])
    if bridge is None or not bridge.is_bridge:
        return _refuse(f"no bridge with an address in {subnet} here; run this in the host's network namespace")
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        tidy(bridge, vacated)
        time.sleep(TICK_S)
    return 0


def _refuse(message: str) -> int:
    sys.stderr.write(message + "\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
