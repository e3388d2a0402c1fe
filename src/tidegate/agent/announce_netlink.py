"""The kernel's neighbour and forwarding tables over netlink, for the network namespace of this process."""

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag

from tidegate.agent.netlink import ACK, CREATE, DUMP, REPLACE, attribute, attributes, talk

_NEWLINK, _GETLINK = 16, 18
_NEWNEIGH, _DELNEIGH, _GETNEIGH = 28, 29, 30
_DST, _LLADDR, _MASTER = 1, 2, 9
_USE = 0x01
_LINKINFO, _INFO_KIND = 18, 1
_NDMSG = struct.Struct("=BxxxiHBB")
_LINKMSG = struct.Struct("=BxHiII")


class State(IntFlag):
    """What the kernel knows about a neighbour."""

    INCOMPLETE = 0x01
    REACHABLE = 0x02
    STALE = 0x04
    DELAY = 0x08
    PROBE = 0x10
    FAILED = 0x20


UNRESOLVED = State.INCOMPLETE | State.FAILED
RESOLVED = State.REACHABLE | State.STALE | State.DELAY | State.PROBE


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One IPv4 entry. `mac` is "" while it is unresolved."""

    interface: int
    ip: str
    mac: str
    state: int


def is_bridge(interface: int) -> bool:
    """Whether an interface (its index) is a bridge, which only the host's side of a network is. Raises OSError."""
    for kind, payload in talk(_GETLINK, 0, _LINKMSG.pack(0, 0, interface, 0, 0), until=_NEWLINK):
        if kind == _NEWLINK:
            information = attributes(attributes(payload[_LINKMSG.size :]).get(_LINKINFO, b""))
            return information.get(_INFO_KIND, b"").rstrip(b"\0") == b"bridge"
    return False


def neighbours(interface: int) -> list[Neighbour]:
    """The IPv4 neighbours on an interface (its index). Raises OSError."""
    found = []
    for index, state, values in _dump(socket.AF_INET):
        if index == interface and _DST in values:
            mac = _mac(values[_LLADDR]) if _LLADDR in values else ""
            found.append(Neighbour(index, socket.inet_ntoa(values[_DST]), mac, state))
    return found


def learned(bridge: int) -> set[str]:
    """The hardware addresses that a bridge (its index) knows the port of. Raises OSError."""
    return {
        _mac(values[_LLADDR])
        for index, _, values in _dump(socket.AF_BRIDGE)
        if _LLADDR in values and (index == bridge or _index(values.get(_MASTER)) == bridge)
    }


def resolve(interface: int, ip: str, mac: str) -> None:
    """Say where `ip` is; what waits for it is sent at once. Raises OSError (PermissionError without NET_ADMIN)."""
    where = attribute(_DST, socket.inet_aton(ip)) + attribute(_LLADDR, bytes.fromhex(mac.replace(":", "")))
    _change(_NEWNEIGH, REPLACE | CREATE, interface, State.STALE, where)


def probe(interface: int, ip: str) -> None:
    """Let the kernel find out where `ip` is. Raises OSError as `resolve`."""
    _change(_NEWNEIGH, CREATE, interface, 0, attribute(_DST, socket.inet_aton(ip)), use=_USE)


def forget(interface: int, ip: str) -> None:
    """Drop the entry of `ip`; one that is not there is not an error. Raises OSError as `resolve`."""
    try:
        _change(_DELNEIGH, 0, interface, 0, attribute(_DST, socket.inet_aton(ip)))
    except FileNotFoundError:
        return


def _change(kind: int, flags: int, interface: int, state: int, where: bytes, *, use: int = 0) -> None:
    body = _NDMSG.pack(socket.AF_INET, interface, state, use, 0) + where
    for _ in talk(kind, flags | ACK, body):
        pass


def _dump(family: int) -> Iterator[tuple[int, int, dict[int, bytes]]]:
    """Interface index, state and attributes of every entry."""
    for kind, payload in talk(_GETNEIGH, DUMP, _NDMSG.pack(family, 0, 0, 0, 0)):
        if kind == _NEWNEIGH:
            _, index, state, _, _ = _NDMSG.unpack_from(payload)
            yield index, state, attributes(payload[_NDMSG.size :])


def _index(value: bytes | None) -> int:
    return int(struct.unpack("=i", value)[0]) if value else 0


def _mac(value: bytes) -> str:
    return value.hex(":")
