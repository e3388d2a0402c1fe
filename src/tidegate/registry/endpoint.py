"""Where a registry is, and where it may send us."""

from collections.abc import Collection
from ipaddress import ip_address

from yarl import URL

from tidegate.registry.docker_config import HUB

# Docker Hub's protocol address; `docker.io` itself is a web site.
_HUB_HOST = "registry-1.docker.io"


class AddressError(ValueError):
    """An address that is not safe to follow; the message is a clause."""


def base_urls(registry: str, insecure: Collection[str]) -> list[URL]:
    """The addresses to try, in order: plain http only for loopback and for registries listed as insecure."""
    host = _HUB_HOST if registry == HUB else registry
    secure = URL(f"https://{host}")
    return [secure, secure.with_scheme("http")] if may_be_plain(secure, insecure) else [secure]


def may_be_plain(url: URL, insecure: Collection[str]) -> bool:
    """Whether this host may be spoken to without TLS. `insecure` lists hosts, with or without a port."""
    named = {url.host, f"{url.host}:{url.port}", url.authority}
    return is_loopback(url) or not named.isdisjoint(insecure)


def is_loopback(url: URL) -> bool:
    """Whether the host is this machine, by Docker's rule: localhost, 127.0.0.0/8 or ::1."""
    if url.host == "localhost":
        return True
    try:
        return ip_address(url.host or "").is_loopback
    except ValueError:
        return False


def same_origin(one: URL, other: URL) -> bool:
    """Whether credentials for one are meant for the other."""
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def follow(source: URL, location: str, insecure: Collection[str]) -> URL:
    """The target of a redirect or of a token realm. Raises `AddressError` where it is not safe to go.

    Never from https to http, and never from a host elsewhere to one on this machine.
    """
    try:
        target = source.join(URL(location))
    except ValueError as error:
        raise AddressError(f"{location!r} is not an address") from error
    if target.scheme not in ("http", "https") or not target.host:
        raise AddressError(f"{location!r} is not an http address")
    if target.user or target.password:
        raise AddressError(f"the address at {target.host} carries a user name")
    if target.scheme == "http" and (source.scheme == "https" or not may_be_plain(target, insecure)):
        raise AddressError(f"{target.host} would be asked without TLS")
    if is_loopback(target) and not is_loopback(source):
        raise AddressError(f"{target.host} is this machine")
    return target
