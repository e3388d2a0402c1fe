"""How an agent's request says who sends it, how the manager finds out whether that is so, and tells it the time."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tidegate.protocol.keys import Key, sign, verify
from tidegate.protocol.problems import Code

AGENT_HEADER = "Tidegate-Agent"
TIME_HEADER = "Tidegate-Time"
SIGNATURE_HEADER = "Tidegate-Signature"
NONCE_HEADER = "Tidegate-Nonce"
"""32 hex digits, other ones in each request. What the manager says the time is holds for this request only."""

SKEW_S = 300
"""How far the clock of a request may be off."""

_REQUEST = "tidegate-request-v1"
_ENROL = "tidegate-enrol-v1"
_TIME = "tidegate-time-v1"
_NONCE = re.compile(r"[0-9a-f]{32}", re.ASCII)
_MOST_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request's headers say: the agent's id, its clock in unix seconds, and a signature over all of it."""

    agent: str
    time_s: int
    signature: str


def canonical(method: str, target: str, time_s: int, body: bytes) -> bytes:
    """What is signed. `target` is the path as it was sent, with its query."""
    digest = hashlib.sha256(body).hexdigest()
    return "\n".join((_REQUEST, method.upper(), target, str(time_s), digest)).encode()


def signed_headers(key: Key, agent: str, method: str, target: str, body: bytes, *, time_s: int) -> dict[str, str]:
    """The headers of a request that `agent` sends with its `key`, `time_s` being the manager's clock as it knows it."""
    signature = sign(key, canonical(method, target, time_s, body))
    return {AGENT_HEADER: agent, TIME_HEADER: str(time_s), SIGNATURE_HEADER: signature}


def read_claim(headers: Mapping[str, str]) -> Claim | None:
    """What a request claims; None where it claims nothing. Names are found in any case, or are in lower case."""
    agent, time_s, signature = (_header(headers, name) for name in (AGENT_HEADER, TIME_HEADER, SIGNATURE_HEADER))
    if not agent or not signature or not (time_s.isascii() and time_s.isdigit()) or len(time_s) > _MOST_DIGITS:
        return None
    return Claim(agent, int(time_s), signature)


def fault_of(claim: Claim, public: str, method: str, target: str, body: bytes, *, now_s: int) -> Code | None:
    """Why a request is not taken for that of the agent whose key is `public`; None if it is.

    Whose signature is good is told the time, and nobody else.
    """
    if not verify(public, canonical(method, target, claim.time_s, body), claim.signature):
        return Code.BAD_SIGNATURE
    return Code.CLOCK_SKEW if abs(now_s - claim.time_s) > SKEW_S else None


def nonce_of(headers: Mapping[str, str]) -> str:
    """The nonce of a request; empty where it has none that can be used."""
    found = _header(headers, NONCE_HEADER)
    return found if _NONCE.fullmatch(found) else ""


def time_proof(key: Key, agent: str, nonce: str, time_s: int) -> str:
    """That the manager's clock was at `time_s` (unix seconds) when this agent asked with this nonce."""
    return sign(key, _clock(agent, nonce, time_s))


def time_holds(manager_key: str, agent: str, nonce: str, time_s: int, proofs: Iterable[str]) -> bool:
    """Whether one of these is `time_proof` of the key whose public half is `manager_key`."""
    return any(verify(manager_key, _clock(agent, nonce, time_s), proof) for proof in proofs)


def enrol_proof(key: Key, token: str) -> str:
    """That who uses an enrolment token has the private key, too."""
    return sign(key, _enrolment(token))


def proof_holds(public: str, token: str, proof: str) -> bool:
    """Whether it is `enrol_proof` of the key whose public half is `public`."""
    return verify(public, _enrolment(token), proof)


def _clock(agent: str, nonce: str, time_s: int) -> bytes:
    return f"{_TIME}\n{agent}\n{nonce}\n{time_s}".encode()


def _enrolment(token: str) -> bytes:
    return f"{_ENROL}\n{token}".encode()


def _header(headers: Mapping[str, str], name: str) -> str:
    return headers.get(name) or headers.get(name.lower()) or ""
