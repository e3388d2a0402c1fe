"""Messages to the kernel of this network namespace, and their attributes."""

import socket
import struct
from collections.abc import Iterator
from contextlib import closing

ERROR, DONE = 2, 3
REQUEST, ACK, DUMP, REPLACE, CREATE = 0x1, 0x4, 0x300, 0x100, 0x400
ROUTE, NETFILTER = 0, 12
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_TYPE_MASK = 0x3FFF
_BUFFER = 1 << 16
_TIMEOUT_S = 1.0


def talk(kind: int, flags: int, body: bytes, *, family: int = ROUTE, until: int = ERROR) -> Iterator[tuple[int, bytes]]:
    """Send one request; its answers up to an acknowledgement, one of kind `until`, or the end of a dump.

    Raises OSError: TimeoutError after a second of silence, PermissionError and others as the kernel refuses.
    """
    with closing(_open(family)) as link:
        link.send(message(kind, flags, body))
        while True:
            for answer, payload in _messages(link.recv(_BUFFER)):
                if answer == DONE:
                    return
                if answer == ERROR:
                    _raise_refusal(payload)
                yield answer, payload
                if answer in {ERROR, until}:
                    return


def tell(messages: Iterator[bytes], *, family: int = ROUTE, batch: int = 100) -> None:
    """Send many requests whose answers nobody waits for. Raises OSError."""
    with closing(_open(family)) as link:
        while chunk := b"".join(one for _, one in zip(range(batch), messages, strict=False)):
            link.send(chunk)


def message(kind: int, flags: int, body: bytes) -> bytes:
    """One request."""
    length = _HEADER.size + len(body)
    return _HEADER.pack(length, kind, flags | REQUEST, 1, 0) + body + bytes(_aligned(length) - length)


def attributes(data: bytes) -> dict[int, bytes]:
    """The values of a run of attributes, by their types."""
    found, at = {}, 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        found[kind & _TYPE_MASK] = data[at + _ATTRIBUTE.size : at + length]
        at += _aligned(max(length, _ATTRIBUTE.size))
    return found


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute."""
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(_aligned(length) - length)


def _open(family: int) -> socket.socket:
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family)
    link.settimeout(_TIMEOUT_S)
    return link


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, at)
        yield kind, data[at + _HEADER.size : at + length]
        at += _aligned(max(length, _HEADER.size))


def _raise_refusal(payload: bytes) -> None:
    code = struct.unpack_from("=i", payload)[0]
    if code:
        raise OSError(-code, f"the kernel refused (netlink error {-code})")


def _aligned(length: int) -> int:
    return (length + 3) & ~3
