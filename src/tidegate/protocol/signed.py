"""The documents that the manager signs: what is in them counts only where its signature holds."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidegate.domain.assignment import Assignment
from tidegate.protocol.fields import Fields, MessageError, write_time
from tidegate.protocol.keys import Key, is_public, sign, verify

_DOCUMENT = "tidegate-document-v1"


class UnsignedError(Exception):
    """The signature is not that of the manager whose key is pinned."""

    def __init__(self) -> None:
        super().__init__("its signature is not that of the manager that this agent enrolled with")


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Do not begin that assignment, if it has not begun."""

    agent: str
    target: str
    generation: int
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class Pin:
    """From now on the manager's key is this one, whose public half `key` is."""

    agent: str
    key: str
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class UnknownDocument:
    """A document of a kind that this version does not know. It is passed over."""

    kind: str


Document = Assignment | Withdraw | Pin | UnknownDocument


def write_document(it: Assignment | Withdraw | Pin, seq: int | None = None) -> str:
    """A document's text, which is what is signed and sent; `seq` is the number of the item that it is sent as."""
    numbered = {} if seq is None else {"seq": seq}
    return json.dumps(_plain(it) | numbered, separators=(",", ":"), ensure_ascii=False)


def seal(key: Key, document: str) -> str:
    """The manager's signature over a document's text."""
    return sign(key, _signed(document))


def read_document(manager_key: str, document: str, signature: str) -> Document:
    """What a document says. Raises `UnsignedError`, and `MessageError` for one that is signed and cannot be read."""
    if not is_sealed(manager_key, document, signature):
        raise UnsignedError
    return read_unverified(document)


def is_sealed(manager_key: str, document: str, signature: str) -> bool:
    """Whether a document is signed by the key whose public half is `manager_key`."""
    return verify(manager_key, _signed(document), signature)


def address_of(document: str) -> tuple[str, int | None]:
    """The agent that a document is for, and its number there: empty and None where it does not say."""
    try:
        fields = Fields(json.loads(document))
        agent = fields.text("agent", "")
        return agent, fields.whole("seq", 0, least=0) or None
    except (ValueError, RecursionError):
        return "", None


def read_unverified(document: str) -> Document:
    """What a document says, whoever wrote it: to tell people of it, never to act on. Raises `MessageError`."""
    try:
        fields = Fields(json.loads(document))
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, MessageError) else MessageError("", "it is no JSON") from None
    match fields.text("kind", most=64):
        case "assignment":
            return _read_assignment(fields)
        case "withdraw":
            return Withdraw(
                fields.text("agent"), fields.text("target"), fields.whole("generation"), fields.time("issued_at")
            )
        case "pin":
            return _read_pin(fields)
        case kind:
            return UnknownDocument(kind)


def _plain(it: Assignment | Withdraw | Pin) -> dict[str, Any]:
    issued_at = write_time(it.issued_at)
    match it:
        case Assignment():
            tag = {"tag": it.tag} if it.tag else {}
            return {
                "kind": "assignment",
                "id": it.id,
                "agent": it.agent,
                "target": it.target,
                "repository": it.repository,
                "digest": it.digest,
                "generation": it.generation,
                "issued_at": issued_at,
                "expires_at": write_time(it.expires_at),
                "rollout": it.rollout,
                "back": it.back,
                "forced": it.forced,
                "health_timeout_s": it.health_timeout_s,
                **tag,
            }
        case Withdraw():
            which = {"agent": it.agent, "target": it.target, "generation": it.generation}
            return {"kind": "withdraw", **which, "issued_at": issued_at}
        case Pin():
            return {"kind": "pin", "agent": it.agent, "key": it.key, "issued_at": issued_at}


def _read_assignment(fields: Fields) -> Assignment:
    return Assignment(
        id=fields.text("id", most=64),
        agent=fields.text("agent"),
        target=fields.text("target"),
        repository=fields.text("repository"),
        digest=fields.digest("digest"),
        generation=fields.whole("generation"),
        issued_at=fields.time("issued_at"),
        expires_at=fields.time("expires_at"),
        rollout=fields.text("rollout", ""),
        back=fields.yes("back", default=False),
        forced=fields.yes("forced", default=False),
        health_timeout_s=fields.seconds_or_none("health_timeout_s"),
        tag=fields.text("tag", ""),
    )


def _read_pin(fields: Fields) -> Pin:
    key = fields.text("key")
    if not is_public(key):
        raise MessageError("key", "it is no Ed25519 public key")
    return Pin(fields.text("agent"), key, fields.time("issued_at"))


def _signed(document: str) -> bytes:
    return f"{_DOCUMENT}\n{document}".encode()
