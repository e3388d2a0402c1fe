"""Closed connections that the kernel's connection tracking still remembers, two minutes for each.

When a container leaves a network, the engine reads the table and deletes its connections one by one; when one
joins, it reads the table again. On a busy service that is thousands of entries, and nobody is answered meanwhile
(measured: 0.1 s more for 10 000). What is closed can be dropped beforehand, while the incumbent still serves.
"""

import socket
import struct
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from tidegate.agent.netlink import DUMP, NETFILTER, attribute, attributes, message, talk, tell

_NEW, _GET, _DELETE = 0x100, 0x101, 0x102
_NFGENMSG = struct.Struct("=BBH")
_ORIGINAL, _REPLY, _PROTOCOL_INFO, _ID, _ZONE = 1, 2, 4, 12, 18
_IP, _PROTOCOL = 1, 2
_SOURCE, _TARGET = 1, 2
_TARGET_PORT = 3
_NESTED = 0x8000
_TCP, _TCP_STATE = 1, 1
_TIME_WAIT, _CLOSE = 7, 8
_LOOPBACK = 127


@dataclass(frozen=True, slots=True)
class Connection:
    """One TCP connection over IPv4. `server` and `server_port` are as the client asked for them."""

    client: str
    server: str
    server_port: int
    answers_from: str
    closed: bool
    key: bytes
    """What names the entry to the kernel, its number included: a connection that takes its place is another."""


def forget_closed(addresses: Collection[str], ports: Collection[int], *, limit_s: float = 1.0) -> int:
    """Drop the closed connections of containers at `addresses`, and of loopback to the published `ports`.

    No more are looked at once `limit_s` has passed. How many it told the kernel to drop. Raises OSError
    (PermissionError without NET_ADMIN).
    """
    deadline = time.monotonic() + limit_s
    done = []
    for one in connections(addresses, ports):
        if time.monotonic() > deadline:
            break
        if one.closed:
            done.append(one)
    tell((message(_DELETE, 0, _of_ipv4() + one.key) for one in done), family=NETFILTER)
    return len(done)


def connections(addresses: Collection[str], ports: Collection[int]) -> Iterator[Connection]:
    """What the kernel remembers of TCP connections of containers at `addresses`, and of loopback to published `ports`.

    Raises OSError as `forget_closed`.
    """
    hints = [*(socket.inet_aton(address) for address in addresses), *(struct.pack("!H", port) for port in ports)]
    for kind, payload in talk(_GET, DUMP, _of_ipv4(), family=NETFILTER):
        if kind == _NEW and any(hint in payload for hint in hints):  # most are not worth taking apart
            found = _read(payload[_NFGENMSG.size :])
            if found is not None and _concerns(found, addresses, ports):
                yield found


def _concerns(one: Connection, addresses: Collection[str], ports: Collection[int]) -> bool:
    """Loopback reaches a published port through the engine's proxy, so that no container's address is in it."""
    by_proxy = socket.inet_aton(one.server)[0] == _LOOPBACK and one.server_port in ports
    return by_proxy or one.client in addresses or one.answers_from in addresses


def _read(payload: bytes) -> Connection | None:
    """None for what is not TCP."""
    entry = attributes(payload)
    info = attributes(entry.get(_PROTOCOL_INFO, b"")).get(_TCP)
    if info is None:
        return None
    original, reply = attributes(entry[_ORIGINAL]), attributes(entry[_REPLY])
    addresses, ports = attributes(original[_IP]), attributes(original[_PROTOCOL])
    return Connection(
        client=socket.inet_ntoa(addresses[_SOURCE]),
        server=socket.inet_ntoa(addresses[_TARGET]),
        server_port=struct.unpack("!H", ports[_TARGET_PORT])[0],
        answers_from=socket.inet_ntoa(attributes(reply[_IP])[_SOURCE]),
        closed=attributes(info)[_TCP_STATE][0] in {_TIME_WAIT, _CLOSE},
        key=attribute(_ORIGINAL | _NESTED, entry[_ORIGINAL])
        + b"".join(attribute(kind, entry[kind]) for kind in (_ID, _ZONE) if kind in entry),
    )


def _of_ipv4() -> bytes:
    return _NFGENMSG.pack(socket.AF_INET, 0, 0)
