"""What agents tell, and what is signed for them, as schemas for people and programs to read.

Nothing is checked by them: `protocol` reads what agents send, passes over what it does not know, and decides.
"""

from collections.abc import Collection, Iterable
from typing import Any

from tidegate.domain.course import MOST_STEPS
from tidegate.domain.masking import MOST_OUTPUT
from tidegate.protocol.events import MOST_MEMBERS, MOST_TARGETS, TOLD, Health, Running

Schema = dict[str, Any]
_Kind = str | Schema

EVENT = {"$ref": "#/components/schemas/AgentEvent"}
DOCUMENT = {"$ref": "#/components/schemas/SignedDocument"}
_KINDS = ("inventory", "sighting", "report", "refusal")
TIME: Schema = {"type": "string", "format": "date-time"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_SECONDS: Schema = {"type": "number", "minimum": 0}
_DIGEST = "`sha256:` and 64 hex digits, or `sha384:` and `sha512:` with theirs"


def members(needed: Collection[str], **known: tuple[_Kind, str]) -> Schema:
    """A JSON object with these members: the type of each, and what is said of it."""
    return {
        "type": "object",
        "required": list(needed),
        "properties": {name: {**_typed(kind), "description": says} for name, (kind, says) in known.items()},
    }


def _typed(kind: _Kind) -> Schema:
    return kind if isinstance(kind, dict) else {"type": kind}


def _or_null(kind: _Kind) -> Schema:
    return {"anyOf": [_typed(kind), {"type": "null"}]}


def _words(some: Iterable[str]) -> Schema:
    return {"type": "string", "enum": [str(one) for one in some]}


def _told(kind: str, about: str, needed: Collection[str], **known: tuple[_Kind, str]) -> Schema:
    """An event or a document of a kind."""
    head: dict[str, tuple[_Kind, str]] = {"kind": (_words([kind]), "What it is.")}
    return {"description": about, **members(("kind", *needed), **head, **known)}


_AT = (TIME, "When it was so, by the agent's clock.")
_ASSIGNMENT = ("string", "The assignment's id.")
_TARGET = ("string", "The target as the agent knows it, `PROJECT/SERVICE`.")
_GENERATION = (_COUNT, "Counts what the target was assigned; the highest holds.")
_REPOSITORY = ("string", "The repository in full, `REGISTRY/NAME`.")

_MEMBER = {
    "description": "One container of a target.",
    **members(
        ("name", "state", "health"),
        name=("string", "Its name."),
        state=("string", "The engine's word for its state, such as `running` or `exited`."),
        health=(_words(Health), "What its health check says; `none`: there is no check, or it does not run."),
        digest=(_or_null("string"), f"What runs in it, {_DIGEST}; null: that is not known."),
    ),
}
_INVENTORY_TARGET = {
    "description": "One service of one project.",
    **members(
        ("target", "image", "repository", "state", "health"),
        target=_TARGET,
        image=("string", "The image as people write it."),
        repository=_REPOSITORY,
        tag=(_or_null("string"), "The tag that it follows; null: it is pinned to a digest."),
        digest=(_or_null("string"), f"What runs, {_DIGEST}; null: that is not known."),
        state=(_words(Running), "Whether its containers run; `mixed`: some do."),
        health=(_words(Health), "The worst of what its health checks say; `none`: there is no check."),
        containers=(_COUNT, "How many containers it has; 1 unless said."),
        platform=("string", "Such as `linux/amd64`."),
        strategy=(_or_null("string"), "How new containers take over; null: that is not known yet."),
        held=("boolean", "Whether the agent does not touch it by itself."),
        reason=("string", "Why it is held, or what else there is to say, in words."),
        members=(
            {"type": "array", "maxItems": MOST_MEMBERS, "items": {"$ref": "#/components/schemas/AgentMember"}},
            "Its containers by name; none where they are many.",
        ),
    ),
}
_UPDATER_COUNTS = {
    "description": "What a program that updates in an agent's place counts.",
    **members(
        ("scanned", "updated", "failed", "scans"),
        scanned=(_COUNT, "Containers that its last scan looked at."),
        updated=(_COUNT, "Those that it has updated then."),
        failed=(_COUNT, "Those that it could not update then."),
        scans=(_COUNT, "Its scans since it was started."),
    ),
}
_INVENTORY = _told(
    "inventory",
    "All targets of the agent, as they are now.",
    ("at", "targets"),
    at=_AT,
    targets=(
        {"type": "array", "maxItems": MOST_TARGETS, "items": {"$ref": "#/components/schemas/AgentInventoryTarget"}},
        "Its targets; what is not here any more is gone.",
    ),
    updater=(
        _or_null({"$ref": "#/components/schemas/AgentUpdaterCounts"}),
        "What the program counts that updates in its place, such as Watchtower; null: none, or it does not say.",
    ),
)
_SIGHTING = _told(
    "sighting",
    "A digest that the agent has found under a tag.",
    ("at", "repository", "tag", "digest"),
    at=_AT,
    repository=_REPOSITORY,
    tag=("string", "The tag."),
    digest=("string", f"What it names now, {_DIGEST}."),
)
_REPORT = _told(
    "report",
    "How an assignment goes.",
    ("at", "assignment", "target", "generation", "digest", "outcome"),
    at=_AT,
    assignment=_ASSIGNMENT,
    rollout=("string", "The number of the rollout that it is of."),
    target=_TARGET,
    generation=_GENERATION,
    digest=("string", f"What was assigned, {_DIGEST}."),
    outcome=(_words(TOLD), "How it goes; `refused`: the agent does not carry it out, and has touched nothing."),
    reason=("string", "Why, in words."),
    blame=("boolean", "Whether the release is bad, and not its surroundings."),
    duration_s=(_or_null(_SECONDS), "How many seconds all of it took; null: it is not over, or nobody knows."),
    output=(
        {"type": "string", "maxLength": MOST_OUTPUT},
        "What the container wrote last that failed, in lines, without secrets as far as they could be told.",
    ),
    steps=(
        {"type": "array", "maxItems": MOST_STEPS, "items": {"$ref": "#/components/schemas/AgentStep"}},
        "What was waited for, in its order; none: it is not over, or nobody knows.",
    ),
)
_STEP = {
    "description": "What was waited for as an assignment was carried out.",
    **members(
        ("step", "took_s"),
        step=({"type": "string", "maxLength": 64}, "What was done, such as `prove`."),
        took_s=(_SECONDS, "How many seconds it took."),
        container=("string", "The name of the container that it was done for; empty: all of them."),
        back=("boolean", "Whether it was done to bring back what ran before."),
    ),
}
_REFUSAL = _told(
    "refusal",
    "A document that the agent does not go by: its signature, or what it is for, is not as it has to be.",
    ("at",),
    at=_AT,
    assignment=("string", "The assignment's id; empty: it cannot be read."),
    target=("string", "The target; empty: it cannot be read."),
    generation=(_COUNT, "Its generation; 0: it cannot be read."),
    reason=("string", "Why, in words."),
)
_OTHER = {
    "description": "An event of a kind that this manager does not know: it is counted, and passed over.",
    **members(
        ("kind", "at"),
        kind=({"type": "string", "maxLength": 64, "not": {"enum": list(_KINDS)}}, "What it is."),
        at=_AT,
    ),
}

_FOR = ("string", "The id of the agent that it is for.")
_ISSUED = (TIME, "When it was signed.")
_SEQ = ({"type": "integer", "minimum": 1}, "The number of the item that it is sent as.")

_SIGNED_ASSIGNMENT = _told(
    "assignment",
    "What an agent is to bring to a target.",
    ("id", "agent", "target", "repository", "digest", "generation", "issued_at", "expires_at"),
    id=_ASSIGNMENT,
    agent=_FOR,
    target=_TARGET,
    repository=_REPOSITORY,
    digest=("string", f"What is to run, {_DIGEST}."),
    generation=_GENERATION,
    issued_at=_ISSUED,
    expires_at=(TIME, "It is not begun after this."),
    rollout=("string", "The number of the rollout that it is of."),
    back=("boolean", "Whether it is a rollback, which asks no window and no hook."),
    forced=("boolean", "Whether the target is updated though it says that it is busy."),
    health_timeout_s=(
        _or_null(_SECONDS),
        "How many seconds new containers may take to become healthy; null: what the agent is set to.",
    ),
    tag=("string", "The tag that the target followed, as far as the manager knew."),
    seq=_SEQ,
)
_SIGNED_WITHDRAW = _told(
    "withdraw",
    "An assignment that is not to be begun any more.",
    ("agent", "target", "generation", "issued_at"),
    agent=_FOR,
    target=_TARGET,
    generation=(_COUNT, "The generation of the assignment that is taken back."),
    issued_at=_ISSUED,
    seq=_SEQ,
)
_SIGNED_PIN = _told(
    "pin",
    "The manager's key from now on, signed by the one before it.",
    ("agent", "key", "issued_at"),
    agent=_FOR,
    key=("string", "The manager's Ed25519 key: 32 bytes in base64."),
    issued_at=_ISSUED,
    seq=_SEQ,
)


def _one_of(about: str, some: Collection[str]) -> Schema:
    return {"description": about, "oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in some]}


_EVENTS = {
    "AgentInventory": _INVENTORY,
    "AgentSighting": _SIGHTING,
    "AgentReport": _REPORT,
    "AgentRefusal": _REFUSAL,
    "AgentOtherEvent": _OTHER,
}
_DOCUMENTS = {
    "SignedAssignment": _SIGNED_ASSIGNMENT,
    "SignedWithdraw": _SIGNED_WITHDRAW,
    "SignedPin": _SIGNED_PIN,
}
AGENT_SCHEMAS: dict[str, Schema] = {
    "AgentEvent": _one_of(
        "An event, by its kind. Members that are not known are passed over; null is the same as nothing.", _EVENTS
    ),
    **_EVENTS,
    "AgentInventoryTarget": _INVENTORY_TARGET,
    "AgentMember": _MEMBER,
    "AgentStep": _STEP,
    "AgentUpdaterCounts": _UPDATER_COUNTS,
    "SignedDocument": _one_of("What the manager signs for an agent, by its kind.", _DOCUMENTS),
    **_DOCUMENTS,
}
"""By their names among the document's components."""
