"""ARP frames, and the interface of this network namespace that lies in a network."""

import fcntl
import ipaddress
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

_GET_ADDRESS, _GET_HARDWARE = 0x8915, 0x8927
_BROADCAST = b"\xff" * 6
_UNKNOWN = bytes(6)
_ETHERTYPE = 0x0806
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_REQUEST = 1


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface of this network namespace, with its first IPv4 address."""

    name: str
    index: int
    ip: str
    mac: str


def interface_in(subnets: Sequence[str]) -> Interface | None:
    """The interface whose own address lies in one of the subnets, if there is one here."""
    ranges = [ipaddress.ip_network(subnet) for subnet in subnets]
    for index, name in socket.if_nameindex():
        found = _interface(index, name)
        if found is not None and any(ipaddress.ip_address(found.ip) in each for each in ranges):
            return found
    return None


def gratuitous(sender_mac: str, ip: str, mac: str) -> bytes:
    """A frame telling everybody that `ip` is at `mac`.

    The frame itself comes from `sender_mac`, the interface it really leaves by: a bridge learns ports from
    that field, and must not look for `mac` here.
    """
    return _frame(sender_mac, mac, ip, ip)


def who_has(ip: str, sender_mac: str, sender_ip: str) -> bytes:
    """A frame asking for the address of `ip`; the answer goes to `sender_mac`."""
    return _frame(sender_mac, sender_mac, sender_ip, ip)


def send(interface: str, frames: Sequence[bytes]) -> None:
    """Put frames on the wire. Raises OSError (PermissionError without NET_RAW)."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((interface, 0))
        for frame in frames:
            wire.send(frame)


def _frame(source: str, mac: str, ip: str, target_ip: str) -> bytes:
    ethernet = _BROADCAST + _octets(source) + struct.pack("!H", _ETHERTYPE)
    addresses = (_octets(mac), socket.inet_aton(ip), _UNKNOWN, socket.inet_aton(target_ip))
    return ethernet + _ARP.pack(1, 0x0800, 6, 4, _REQUEST, *addresses)


def _octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _interface(index: int, name: str) -> Interface | None:
    request = struct.pack("16s24x", name.encode())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            address = fcntl.ioctl(any_socket, _GET_ADDRESS, request)[20:24]
            hardware = fcntl.ioctl(any_socket, _GET_HARDWARE, request)[18:24]
        except OSError:
            return None  # it has no IPv4 address, or it went away
    return Interface(name, index, socket.inet_ntoa(address), hardware.hex(":"))
