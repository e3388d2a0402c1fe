"""Which protocols are spoken."""

PROTOCOL = 1
"""What this agent speaks, and the newest that this manager does."""

OLDEST = 0
"""The oldest that this manager still speaks. Protocol 0 has no `pin`, no `refusal`, no `sighting`, and fewer fields."""


def is_spoken(protocol: int) -> bool:
    """Whether a manager of this version answers an agent that speaks `protocol`."""
    return OLDEST <= protocol <= PROTOCOL


def may_send(kind: str, protocol: int) -> bool:
    """Whether an agent that speaks `protocol` knows a document of this kind."""
    return protocol >= PROTOCOL or kind != "pin"
