"""A policy as it is sent; `domain.channel_policy` reads it, so its rules are there."""

from typing import Any

from pydantic import BaseModel, Field

from tidegate.domain.rollout_policy import BusyThen, Mode, OnFailure

_SHARE = "a number such as `2`, or a percentage such as `25%`"


class Wave(BaseModel):
    """A wave of clusters by their labels."""

    labels: dict[str, str] = Field(description="Labels that clusters in it have.")
    share: str | None = Field(default=None, description=f"How many of those: {_SHARE}; without it, all.")


class PolicyOut(BaseModel):
    """What becomes of a channel's new releases. Durations are such as `30s`, `5m` or `1h30m`."""

    mode: Mode = Field(description="Whether new releases go out by themselves, after approval, or by hand only.")
    minimum_age: str = Field(description="How long a release must have been known before it goes out by itself.")
    windows: list[str] = Field(description="When its updates may begin: `CRON DURATION [ZONE]` each.")
    freezes: list[str] = Field(description="When none may: `FROM/TO [ZONE] [REASON]` each.")
    waves: list[str | Wave] = Field(description=f"The waves, the canary first; each {_SHARE}, or by labels.")
    parallel: str | None = Field(description=f"How many targets of a wave are updated at once: {_SHARE}; null: all.")
    success_percent: int = Field(
        ge=1, le=100, description="How much of a wave must be healthy for the next one to open, in percent."
    )
    failure_threshold: str = Field(description=f"How many failures stop the rollout: {_SHARE}.")
    healthy_for: str = Field(description="How long a target must be healthy to count.")
    healthy_deadline: str = Field(description="How long a target may take to become healthy.")
    progress_deadline: str = Field(description="How long a target may take for all of its update.")
    soak: str = Field(description="How long a wave that passed is watched before the next one opens.")
    on_failure: OnFailure = Field(description="What becomes of a rollout that failed.")
    busy_wait: str = Field(description="How long a target that says it is busy is waited for.")
    busy_then: BusyThen = Field(description="What becomes of a target that is still busy then.")
    approvals: int = Field(ge=0, le=10, description="How many people have to approve, none of them who asked for it.")
    approval_expires: str = Field(description="How long a rollout waits for approval.")
    expires: str = Field(description="How long a rollout may take in all.")


def _schema() -> dict[str, Any]:
    """The same for a request: anything may be left out."""
    found = PolicyOut.model_json_schema()
    found.pop("required", None)
    definitions = found.pop("$defs", {})
    return {**_resolved(found, definitions), "additionalProperties": False}


def _resolved(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, dict):
        if "$ref" in node:
            rest = {key: value for key, value in node.items() if key != "$ref"}
            return _resolved(definitions[node["$ref"].rpartition("/")[2]], definitions) | rest
        return {key: _resolved(value, definitions) for key, value in node.items()}
    if isinstance(node, list):
        return [_resolved(one, definitions) for one in node]
    return node


POLICY_SCHEMA = _schema()
