"""From the engine's HTTP status and message to one of our errors."""

import re

from tidegate.engine.errors import (
    AddressTakenError,
    ConflictError,
    EngineError,
    EngineUnavailableError,
    ImageMissingError,
    NameTakenError,
    NoSpaceError,
    NotFoundError,
    NotRunnableError,
    PlatformMissingError,
    PortTakenError,
    PullBrokenError,
    PullDeniedError,
    PullError,
    PullLimitedError,
    SubnetTakenError,
)

NOT_FOUND = 404
CONFLICT = 409
UNREACHABLE = 900
"""aiodocker's status where no HTTP answer came."""

_PORT_TAKEN = ("port is already allocated", "bind: address already in use", "ports are not available")
_SUBNET_TAKEN = ("pool overlaps", "non-overlapping", "all predefined address pools have been fully subnetted")
_NAME_TAKEN = ("already in use by container", "network with name")
_NO_SPACE = ("no space left on device", "disk quota exceeded")
_NOT_RUNNABLE = re.compile(r"container process\b.*(\bexec:? \"|chdir to cwd)|unable to find (user|group) ")
"""What runc and the engine say of a container's own command, working directory or user."""
_NO_PLATFORM = ("no matching manifest for", "no match for platform", "does not match the specified platform")
_DENIED = (
    "pull access denied",
    "unauthorized",
    "no basic auth credentials",
    "authentication required",
    "denied:",
    "403 forbidden",
    "401 unauthorized",
    "incorrect username or password",
)
_LIMITED = ("toomanyrequests", "too many requests", "http 429")
_LASTING = (
    "verification failed for digest",
    "failed to register layer",
    "unknown blob",
    "unsupported manifest",
    "invalid manifest",
    "unsupported media type",
    "invalid reference format",
    "x509:",
    "server gave http response to https client",
)
"""What the same pull would be told again: the content is not what its digest says, or no image, or TLS is not right."""
_NO_IMAGE = ("manifest unknown", "not found: manifest", "name unknown", "repository name not known")


def failure(status: int, message: str, action: str) -> EngineError:
    """The error for a refused call. `action` reads after "Could not": `start container web`."""
    text = " ".join(message.split())
    said = text.lower()
    if _has(said, _PORT_TAKEN):
        return PortTakenError(
            f"Could not {action}: a host port is taken ({text}): stop what holds it, or publish another one"
        )
    if "address already in use" in said:
        return AddressTakenError(f"Could not {action}: another container has its address ({text})")
    if _has(said, _SUBNET_TAKEN):
        return SubnetTakenError(
            f"Could not {action}: its addresses overlap with another network's, or none are left ({text}): "
            "remove unused networks, or widen default-address-pools"
        )
    if _has(said, _NO_SPACE):
        return NoSpaceError(f"Could not {action}: the engine's disk is full ({text}): free some space")
    if _NOT_RUNNABLE.search(said) and "running hook" not in said:
        return NotRunnableError(f"Could not {action}: {text}")
    if status == NOT_FOUND or "is marked for removal" in said:
        return NotFoundError(f"Could not {action}: {text}")
    if status == CONFLICT:
        kind = NameTakenError if _has(said, _NAME_TAKEN) else ConflictError
        return kind(f"Could not {action}: {text}")
    if status == UNREACHABLE:
        return EngineUnavailableError(f"Could not {action}: {text}")
    if "has active endpoints" in said:
        return ConflictError(f"Could not {action}: {text}")
    return EngineError(f"Could not {action}: {text} (status {status})")


def pull_failure(reference: str, message: str) -> PullError:
    """The error for a pull that the engine broke off with this message."""
    text = " ".join(message.split())
    said = text.lower()
    if _has(said, _NO_SPACE):
        return NoSpaceError(f"Could not pull {reference}: the engine's disk is full: free some space ({text})")
    if _has(said, _LIMITED):
        return PullLimitedError(
            f"Could not pull {reference}: the registry limits how often it is asked: log in for a higher limit ({text})"
        )
    if _has(said, _NO_PLATFORM):
        return PlatformMissingError(
            f"Could not pull {reference}: it is not built for this platform: publish it for it ({text})"
        )
    if _has(said, _NO_IMAGE):
        return ImageMissingError(f"Could not pull {reference}: the registry does not have it ({text})")
    if _has(said, _DENIED):
        return PullDeniedError(
            f"Could not pull {reference}: the registry refuses: check the credentials and the name ({text})"
        )
    told = f"Could not pull {reference}: {text}: it is tried again later"
    return PullError(told) if _has(said, _LASTING) else PullBrokenError(told, text)


def _has(said: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase in said for phrase in phrases)
