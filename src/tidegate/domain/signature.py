"""What a verified signature says: of which content, and for which repository it was made."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from tidegate.domain.reference import InvalidReferenceError, Reference, parse_reference
from tidegate.domain.signature_policy import repository_of

_FEW = 3


def fault_of(answer: str, wanted: Reference) -> str | None:
    """Why the output of `cosign verify --output json` does not speak for `wanted`, given by digest; None if it does.

    Cosign checks keys and digests. That a signature was made for this repository, and not copied here from another,
    it leaves to us: one and the same payload must name the digest and the repository. A tag in that name says nothing.
    """
    try:
        document = json.loads(answer)
    except (ValueError, RecursionError):
        return "cosign's answer is not JSON; use cosign 2"
    signed = [pair for payload in (document if isinstance(document, list) else []) for pair in _signed(payload)]
    repository = repository_of(wanted)
    if any(name == repository and digest == wanted.digest for name, digest in signed):
        return None
    others = sorted({name for name, digest in signed if digest == wanted.digest})
    if not others:
        return "cosign's answer names no image with this digest; use cosign 2"
    more = f" and {len(others) - _FEW} more" if len(others) > _FEW else ""
    return f"its signature was made for {', '.join(others[:_FEW])}{more}, not for {repository}"


def _signed(payload: Any) -> Iterator[tuple[str, str]]:
    """The repository and the digest of one payload; nothing where it has not both."""
    critical = _mapping(_mapping(payload).get("critical"))
    reference = _mapping(critical.get("identity")).get("docker-reference")
    digest = _mapping(critical.get("image")).get("docker-manifest-digest")
    if isinstance(reference, str) and isinstance(digest, str):
        with contextlib.suppress(InvalidReferenceError):
            yield repository_of(parse_reference(reference)), digest


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
