"""What agents ask and are answered, for the API's document: they go over no models."""

from typing import Any

from tidegate.manager.api.agent_schemas import DOCUMENT, EVENT, TIME, Schema, members
from tidegate.protocol.messages import LONGEST_WAIT_S, MOST_EVENTS
from tidegate.protocol.requests import AGENT_HEADER, NONCE_HEADER, SIGNATURE_HEADER, TIME_HEADER

_HEADERS = {
    AGENT_HEADER: "The agent's id.",
    TIME_HEADER: "Unix seconds, by the manager's clock as the agent knows it.",
    SIGNATURE_HEADER: "The agent's Ed25519 signature over method, path, time and body: 64 bytes in base64.",
}
_NONCE = "32 hex digits, other ones each time: where the agent's clock is off, the time that it is told is for these."

_PROTOCOL = ("integer", "The version of what agent and manager say to each other.")
_VERSION = ("string", "The agent's version.")
_NAME = ("string", "The agent's name.")
_KEY = ("string", "The manager's Ed25519 key: 32 bytes in base64.")
_CLOCK = (TIME, "The manager's clock.")


def _operation(asks: Schema, answers: Schema, says: str, *, signed: bool = True) -> dict[str, Any]:
    return {
        "requestBody": {"required": True, **_json(asks)},
        "responses": {"200": {"description": says, **_json(answers)}},
        **({"parameters": _parameters()} if signed else {}),
    }


def _json(schema: Schema) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _parameters() -> list[dict[str, Any]]:
    nonce = _header(NONCE_HEADER, _NONCE, needed=False)
    nonce["schema"]["pattern"] = "^[0-9a-f]{32}$"
    return [*(_header(name, says, needed=True) for name, says in _HEADERS.items()), nonce]


def _header(name: str, says: str, *, needed: bool) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": needed, "description": says, "schema": {"type": "string"}}


_ITEM = members(
    ("seq", "document", "signature"),
    seq=("integer", "Its number."),
    document=(
        {"type": "string", "contentMediaType": "application/json", "contentSchema": DOCUMENT},
        "JSON, as it was signed: an assignment, a withdrawal or a pin.",
    ),
    signature=("string", "The manager's Ed25519 signature over it: 64 bytes in base64."),
)

ENROL = _operation(
    members(
        ("protocol", "token", "name", "public_key", "proof"),
        protocol=_PROTOCOL,
        token=("string", "The one-time token, `te_<id>_<secret>`."),
        name=_NAME,
        public_key=("string", "The agent's Ed25519 key: 32 bytes in base64."),
        proof=("string", "The key's signature over the token."),
        version=_VERSION,
    ),
    members(
        ("protocol", "agent", "name", "manager_key", "time"),
        protocol=_PROTOCOL,
        agent=("string", "The agent's id."),
        name=_NAME,
        manager_key=_KEY,
        time=_CLOCK,
    ),
    "Who the agent is from now on, and the key of the manager, which it pins.",
    signed=False,
)
POLL = _operation(
    members(
        ("protocol", "cursor", "wait_s"),
        protocol=_PROTOCOL,
        cursor=("integer", "The number of the last document that the agent has stored."),
        wait_s=(
            {"type": "integer", "minimum": 0, "maximum": LONGEST_WAIT_S},
            "For how many seconds the poll may be held.",
        ),
        version=_VERSION,
        manager_key=(
            "string",
            "The manager's key that the agent has pinned: 32 bytes in base64; none: it does not say.",
        ),
    ),
    members(
        ("protocol", "items", "time"),
        protocol=_PROTOCOL,
        items=(
            {"type": "array", "items": {"description": "A signed document.", **_ITEM}},
            "Signed documents, each with its number.",
        ),
        time=_CLOCK,
    ),
    "Signed documents after the cursor; none if there were none within `wait_s`.",
)
EVENTS = _operation(
    members(
        ("protocol", "stream", "first", "events"),
        protocol=_PROTOCOL,
        stream=("string", "The id of the agent's log of events."),
        first=({"type": "integer", "minimum": 1}, "The number of the first event of the batch."),
        events=({"type": "array", "maxItems": MOST_EVENTS, "items": EVENT}, "The events, in their order."),
        skipped=("boolean", "Whether the events before it that are missing are lost for good."),
    ),
    members(("applied",), applied=("integer", "The number of the last event that was applied.")),
    "The number of the last event that was applied.",
)
