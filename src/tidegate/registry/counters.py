"""What the registries were asked, in numbers."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Requests by kind, and the bytes of headers and bodies that came back. Redirects count as requests."""

    heads: int = 0
    gets: int = 0
    puts: int = 0
    tokens: int = 0
    pings: int = 0
    bytes: int = 0
