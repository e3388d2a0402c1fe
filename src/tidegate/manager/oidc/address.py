"""Addresses that secrets may be sent to."""

from yarl import URL

from tidegate.registry.endpoint import is_loopback


def is_safe(text: str) -> bool:
    """Whether it is an address that begins with https://, or one of this machine with http://."""
    try:
        url = URL(text)
    except ValueError:
        return False
    return bool(url.host) and (url.scheme == "https" or (url.scheme == "http" and is_loopback(url)))
