"""The problems that the manager tells an agent of, by their codes."""

from enum import StrEnum

PROBLEM = "urn:tidegate:problem:"
"""What stands before the code in a problem document's `type`."""


class Code(StrEnum):
    """Codes of the agent's routes.

    `clock-skew` carries `time` (unix seconds) and `proofs` of it (`requests.time_proof`), `gap` carries `expected`.
    """

    CLOCK_SKEW = "clock-skew"
    UNKNOWN_AGENT = "unknown-agent"
    BAD_SIGNATURE = "bad-signature"
    REVOKED = "revoked"
    PROTOCOL = "protocol"
    GAP = "gap"
    BAD_TOKEN = "bad-token"  # noqa: S105 - a code, not a secret
    BAD_MESSAGE = "bad-message"
