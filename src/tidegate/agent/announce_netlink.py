"""The kernel's neighbour and forwarding tables over netlink, for the network namespace of this process."""

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag

_NEWLINK, _GETLINK = 16, 18
_NEWNEIGH, _DELNEIGH, _GETNEIGH = 28, 29, 30
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _DUMP, _REPLACE, _CREATE = 0x1, 0x4, 0x300, 0x100, 0x400
_DST, _LLADDR, _MASTER = 1, 2, 9
_USE = 0x01
_LINKINFO, _INFO_KIND, _TYPE_MASK = 18, 1, 0x3FFF
_HEADER = struct.Struct("=IHHII")
_NDMSG = struct.Struct("=BxxxiHBB")
_LINKMSG = struct.Struct("=BxHiII")
_ATTRIBUTE = struct.Struct("=HH")
_BUFFER = 1 << 16
_TIMEOUT_S = 1.0


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
    for kind, payload in _talk(_GETLINK, 0, _LINKMSG.pack(0, 0, interface, 0, 0), until=_NEWLINK):
        if kind == _NEWLINK:
            information = _attributes(_attributes(payload[_LINKMSG.size :]).get(_LINKINFO, b""))
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
    attributes = _attribute(_DST, socket.inet_aton(ip)) + _attribute(_LLADDR, bytes.fromhex(mac.replace(":", "")))
    _change(_NEWNEIGH, _REPLACE | _CREATE, interface, State.STALE, attributes)


def probe(interface: int, ip: str) -> None:
    """Let the kernel find out where `ip` is. Raises OSError as `resolve`."""
    _change(_NEWNEIGH, _CREATE, interface, 0, _attribute(_DST, socket.inet_aton(ip)), use=_USE)


def forget(interface: int, ip: str) -> None:
    """Drop the entry of `ip`; one that is not there is not an error. Raises OSError as `resolve`."""
    try:
        _change(_DELNEIGH, 0, interface, 0, _attribute(_DST, socket.inet_aton(ip)))
    except FileNotFoundError:
        return


def _change(kind: int, flags: int, interface: int, state: int, attributes: bytes, *, use: int = 0) -> None:
    body = _NDMSG.pack(socket.AF_INET, interface, state, use, 0) + attributes
    for answer, payload in _talk(kind, flags | _ACK, body):
        code = struct.unpack_from("=i", payload)[0] if answer == _ERROR else 0
        if code:
            raise OSError(-code, f"the kernel refused to change its neighbour table (error {-code})")


def _dump(family: int) -> Iterator[tuple[int, int, dict[int, bytes]]]:
    """Interface index, state and attributes of every entry."""
    for kind, payload in _talk(_GETNEIGH, _DUMP, _NDMSG.pack(family, 0, 0, 0, 0)):
        if kind == _ERROR:
            code = struct.unpack_from("=i", payload)[0]
            raise OSError(-code, f"the kernel refused to list its neighbours (error {-code})")
        if kind == _NEWNEIGH:
            _, index, state, _, _ = _NDMSG.unpack_from(payload)
            yield index, state, _attributes(payload[_NDMSG.size :])


def _talk(kind: int, flags: int, body: bytes, *, until: int = _ERROR) -> list[tuple[int, bytes]]:
    """Send one request; the answers up to an acknowledgement, one of kind `until`, or the end of a dump."""
    answers: list[tuple[int, bytes]] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as link:
        link.settimeout(_TIMEOUT_S)
        link.send(_HEADER.pack(_HEADER.size + len(body), kind, flags | _REQUEST, 1, 0) + body)
        while True:
            for answer, payload in _messages(link.recv(_BUFFER)):
                if answer == _DONE:
                    return answers
                answers.append((answer, payload))
                if answer in {_ERROR, until}:
                    return answers


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _HEADER.size:
        length, kind, _, _, _ = _HEADER.unpack_from(data)
        yield kind, data[_HEADER.size : length]
        data = data[_aligned(length) :]


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        found[kind & _TYPE_MASK] = data[_ATTRIBUTE.size : length]
        data = data[_aligned(max(length, _ATTRIBUTE.size)) :]
    return found


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(_aligned(length) - length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _index(value: bytes | None) -> int:
    return int(struct.unpack("=i", value)[0]) if value else 0


def _mac(value: bytes) -> str:
    return value.hex(":")
