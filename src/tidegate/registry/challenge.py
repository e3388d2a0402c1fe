"""The WWW-Authenticate header: what a registry wants to see before it answers."""

import re
from dataclasses import dataclass
from enum import StrEnum


class Scheme(StrEnum):
    """How to show who asks."""

    BASIC = "basic"
    BEARER = "bearer"


class ChallengeError(ValueError):
    """The header is missing, or says too little to act on; the message is a clause."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge. `realm` of a Bearer challenge is the token service's address; Basic has no service."""

    scheme: Scheme
    realm: str
    service: str = ""


_SCHEME = re.compile(r"(?:^|,)\s*(basic|bearer)(?=\s*(?:,|$)|\s+[^\s=])", re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_ATTRIBUTE = re.compile(r'\s*([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|(?=\s*$))')
# Where one challenge of several in a header ends: a scheme is a word that no `=` follows.
_NEXT = re.compile(r"\s*[A-Za-z][A-Za-z0-9-]*(?:\s+(?!=)|$)")


def parse_challenge(header: str | None) -> Challenge:
    """The first Basic or Bearer challenge of the header; others are passed over.

    Attributes may be quoted or not, come in any order and end with a comma. Raises `ChallengeError` where
    a Bearer challenge lacks its realm or service, as Watchtower does.
    """
    if not header or not header.strip():
        raise ChallengeError("it does not say how (no WWW-Authenticate)")
    # what is quoted names no scheme
    found = _SCHEME.search(_QUOTED.sub(lambda quoted: '"' * len(quoted[0]), header))
    if found is None:
        raise ChallengeError(f"it wants {header.split()[0]!r}, which is neither Basic nor Bearer")
    scheme = Scheme(found[1].lower())
    attributes = _attributes(header[found.end() :])
    if scheme is Scheme.BASIC:
        return Challenge(scheme, attributes.get("realm", ""))
    for name in ("realm", "service"):
        if not attributes.get(name):
            raise ChallengeError(f"its challenge names no {name}")
    return Challenge(scheme, attributes["realm"], attributes["service"])


def _attributes(text: str) -> dict[str, str]:
    attributes: dict[str, str] = {}
    position = 0
    while position < len(text) and text[position:].strip(", "):
        found = _ATTRIBUTE.match(text, position)
        if found is None:
            if _NEXT.match(text, position):
                break
            raise ChallengeError("its challenge cannot be read")
        value = found[3] if found[2] is None else re.sub(r"\\(.)", r"\1", found[2])
        attributes.setdefault(found[1].lower(), value)
        position = found.end()
    return attributes
