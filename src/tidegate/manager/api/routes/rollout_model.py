"""What is sent and taken of rollouts."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema

from tidegate.domain.channel_policy import read_channel_policy, write_channel_policy
from tidegate.domain.rollout import Kind, Progress, State
from tidegate.manager.api.models import NO_NUL, TARGET_NAME, Digest, Moment, Strict, Truth
from tidegate.manager.api.policy_model import PolicyOut

Name = Annotated[str, StringConstraints(min_length=1, max_length=400, pattern=TARGET_NAME)]
Reason = Annotated[str, StringConstraints(max_length=500, pattern=NO_NUL)]
Policy = Annotated[dict[str, Any], WithJsonSchema({"$ref": f"#/components/schemas/{PolicyOut.__name__}"})]
"""As it was written, so a wave that names no share has none."""


class ChannelShort(BaseModel):
    """A channel, by its number and name."""

    id: int = Field(description="The number of the channel.")
    name: str = Field(description="`REPOSITORY:TAG`.")


class ApprovalMade(BaseModel):
    """Somebody's yes."""

    by: str = Field(description="The user.")
    at: datetime = Field(description="When.")


class Wave(BaseModel):
    """One wave of a rollout."""

    wave: int = Field(description="Its number, from 1; the first is the canary.")
    counts: dict[Progress, int] = Field(description="How many of its targets are where.")


class Rollout(BaseModel):
    """A release on its way to targets of its channel."""

    id: int = Field(description="Its number.")
    channel: ChannelShort = Field(description="The channel that its targets follow.")
    digest: str = Field(description="The release.")
    version: str = Field(description="The release's version, as its image says; empty: not known.")
    kind: Kind = Field(description="Whether it goes forward, or back.")
    state: State = Field(description="Where it is.")
    reason: str = Field(description="Why it is there; empty where nothing is to be told.")
    waits_for: str | None = Field(
        description="What holds it back now: a freeze, with its name and reason, or windows, and until when; empty: "
        "neither does; null in lists."
    )
    requested_by: str = Field(description="Who asked for it; `tidegate`: the channel's policy.")
    created_at: datetime = Field(description="When.")
    not_before: datetime | None = Field(description="It does not begin before this.")
    begun_at: datetime | None = Field(description="When it began.")
    ended_at: datetime | None = Field(description="When it ended.")
    wave: int = Field(description="The open wave, from 1.")
    waves: int = Field(description="How many there are.")
    passed_at: datetime | None = Field(description="When the open wave passed; it soaks since.")
    wake_at: datetime | None = Field(description="When it is looked at again if nothing happens before.")
    approvals: list[ApprovalMade] = Field(description="Who has approved it.")
    approvals_needed: int = Field(
        description="How many have to, other than who asked for it: as its policy says, or, if those are more, as the "
        "channel's policy has come to say before it began."
    )
    counts: dict[Progress, int] = Field(description="How many of its targets are where.")
    waves_detail: list[Wave] | None = Field(description="The same by waves; null in lists.")
    whole: bool = Field(description="Whether it is for every target of the channel.")
    policy: Policy | None = Field(description="The rules that it goes by, complete; null in lists.")
    edition: int = Field(description="Counts its changes; the number in its ETag.")


class RolloutTarget(BaseModel):
    """One target of a rollout."""

    target: str = Field(description="`CLUSTER/SERVICE`.")
    cluster: str = Field(description="Its cluster, `PROJECT@AGENT`.")
    wave: int = Field(description="Its wave, from 1.")
    progress: Progress = Field(description="Where it is.")
    reason: str = Field(description="What its agent, or the manager, says to that.")
    before: str = Field(description="What it goes back to; empty: not known.")
    running: str = Field(description="What is known to run there.")
    generation: int = Field(description="Counts its assignments.")
    since: datetime | None = Field(description="Since when it is there.")
    deadline: datetime | None = Field(description="When it has to be somewhere else.")
    busy_since: datetime | None = Field(description="Since when it says that it is busy.")


class NewRollout(BaseModel):
    """A rollout that is wanted: of a release that is known by its number, or of a digest."""

    model_config = ConfigDict(extra="forbid")
    channel: Strict = Field(description="The number of the channel.")
    release: Strict | None = Field(default=None, description="The number of the release. This, or `digest`.")
    digest: Digest | None = Field(default=None, description="The release's digest. This, or `release`.")
    targets: list[Name] | None = Field(default=None, description="Only these, by name.", min_length=1, max_length=1000)
    clusters: list[Name] | None = Field(
        default=None, description="Only those of these clusters, by name.", min_length=1, max_length=1000
    )
    not_before: Moment | None = Field(
        default=None, description="Not before this time, which is to come before the rollout expires."
    )
    reason: Reason = Field(default="", description="Why; people are shown it.")


class Order(BaseModel):
    """Why somebody does something."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason = Field(default="", description="Why; people are shown it.")


class GoBack(BaseModel):
    """What to go back to, and why."""

    model_config = ConfigDict(extra="forbid")
    to: Digest | None = Field(default=None, description="The release; without it, what ran before on each target.")
    reason: Reason = Field(default="", description="Why; people are shown it.")
    dry_run: Truth = Field(default=False, description="Say what would go where, and do nothing.")


class GoesTo(BaseModel):
    """Targets that go back to one release."""

    to: str = Field(description="The release's digest.")
    targets: list[str] = Field(description="Their names.")


class LeftBehind(BaseModel):
    """A target that does not go back with the others."""

    target: str = Field(description="`CLUSTER/SERVICE`.")
    reason: str = Field(description="Why it stays as it is, or may not.")


class WentBack(BaseModel):
    """What a rollback comes to."""

    items: list[Rollout] = Field(
        description="Its rollouts, made or turned round; none where everything runs it already, or after a dry run."
    )
    going: list[GoesTo] = Field(description="Which targets go where.")
    left: list[LeftBehind] = Field(description="The targets that should go back and do not, each with the reason.")
    aborted: list[int] = Field(description="The numbers of updates that had offered nothing yet, and were aborted.")


def shown(
    row: Any,
    approvals: list[dict[str, Any]],
    waves: list[dict[str, Any]] | None = None,
    *,
    waits_for: str | None = None,
    whole: bool = False,
) -> Rollout:
    """A rollout as it is sent; `whole`: with its policy."""
    policy = read_channel_policy(row.policy)
    return Rollout(
        id=row.id,
        channel=ChannelShort(id=row.channel_id, name=row.channel_name),
        digest=row.digest,
        version=row.version,
        kind=row.kind,
        state=row.state,
        reason=row.reason,
        waits_for=waits_for,
        requested_by=row.requested_by,
        created_at=row.created_at,
        not_before=row.not_before,
        begun_at=row.begun_at,
        ended_at=row.ended_at,
        wave=row.wave + 1,
        waves=row.waves,
        passed_at=row.passed_at,
        wake_at=row.wake_at,
        approvals=[ApprovalMade(**one) for one in approvals],
        approvals_needed=max(policy.rollout.approvals, row.asks) if row.kind == Kind.UPDATE else 0,
        counts=row.counts,
        waves_detail=None if waves is None else [Wave(**one) for one in waves],
        whole=row.whole,
        policy=write_channel_policy(policy) if whole else None,
        edition=row.edition,
    )


def shown_target(row: Any) -> RolloutTarget:
    """A target of a rollout as it is sent."""
    return RolloutTarget(
        target=row.target,
        cluster=row.cluster,
        wave=row.wave + 1,
        progress=row.progress,
        reason=row.reason,
        before=row.before,
        running=row.running,
        generation=row.generation,
        since=row.since,
        deadline=row.deadline,
        busy_since=row.busy_since,
    )
