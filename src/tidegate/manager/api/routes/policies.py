"""Policies: what becomes of a channel's new releases."""

from typing import Annotated, Any

from fastapi import Body, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy import Row, func, select

from tidegate.cron import ever_occurs
from tidegate.domain.channel_policy import ChannelPolicy, ChannelPolicyError, read_channel_policy, write_channel_policy
from tidegate.domain.rollout_policy import Mode
from tidegate.domain.windows import parse_window
from tidegate.manager.api.access import needs
from tidegate.manager.api.change import ChangeHere, PartsHere
from tidegate.manager.api.etag import EditionHere, set_etag
from tidegate.manager.api.models import Id, Ref
from tidegate.manager.api.paging import Page, PagingHere, page
from tidegate.manager.api.policy_model import POLICY_SCHEMA, PolicyOut
from tidegate.manager.api.problems import INVALID, Fault, Problem, invalid
from tidegate.manager.api.router import router as make_router
from tidegate.manager.api.routes.channels import ChannelName, in_full
from tidegate.manager.api.routes.windows import NEVER
from tidegate.manager.api.rows import held_row, read_row, write_row
from tidegate.manager.people.roles import Permission
from tidegate.manager.rollouts.anew import rules_changed
from tidegate.manager.store.schema import channels

router = make_router("policies")
_READ = [needs(Permission.READ)]


class ChannelPolicyOut(BaseModel):
    """A channel and its policy."""

    channel: Ref = Field(description="The channel.")
    version: int = Field(description="Counts its changes; the number in its ETag.")
    policy: PolicyOut = Field(description="The policy, complete.")


def _policy(row: Row[Any]) -> PolicyOut:
    return PolicyOut(**write_channel_policy(read_channel_policy(row.policy)))


def _out(row: Row[Any]) -> ChannelPolicyOut:
    return ChannelPolicyOut(channel=Ref(id=row.id, name=row.name), version=row.edition, policy=_policy(row))


@router.get("/policies", dependencies=_READ)
async def list_policies(
    parts: PartsHere,
    paging: PagingHere,
    name: ChannelName = None,
    mode: Annotated[Mode | None, Query(description="Only those that do this with new releases.")] = None,
) -> Page[ChannelPolicyOut]:
    """List every channel's policy."""
    statement = select(channels)
    if name is not None:
        statement = statement.where(channels.c.name == in_full(name))
    if mode is not None:
        said = func.coalesce(channels.c.policy["mode"].as_string(), ChannelPolicy().mode.value)
        statement = statement.where(said == mode.value)
    async with parts.db.read() as conn:
        return page(await paging.rows(conn, statement, channels.c.id), _out)


@router.get("/policies/{id}", dependencies=_READ)
async def get_policy(id: Id, parts: PartsHere, response: Response) -> PolicyOut:  # noqa: A002 - it is what it is
    """Show the policy of the channel with this number, complete, as it may be put back."""
    async with parts.db.read() as conn:
        row = await read_row(conn, channels, id, "channel")
    set_etag(response, row.edition)
    return _policy(row)


@router.put("/policies/{id}", dependencies=[needs(Permission.POLICIES)])
async def replace_policy(
    id: Id,  # noqa: A002 - it is what it is
    given: Annotated[dict[str, Any], Body(json_schema_extra=POLICY_SCHEMA, description="The policy.")],
    edition: EditionHere,
    change: ChangeHere,
    response: Response,
) -> PolicyOut:
    """Change a channel's policy. What is left out has its default. Rollouts keep the policy they were made with.

    Until one has begun, the policy of now counts where it is stricter: as many people have to approve it as that asks
    for, and one that nobody has asked for is cancelled where releases have come to go out by hand only.
    """
    await rules_changed(change.conn, change.now, channel=id)
    before = await held_row(change.conn, channels, id, "channel", edition)
    policy = _read(given)
    row = await write_row(change.conn, channels, before, policy=policy)
    old = write_channel_policy(read_channel_policy(before.policy))
    await change.note("policy.update", f"channel {before.name}", before=old, after=policy)
    set_etag(response, row.edition)
    return PolicyOut(**policy)


def _read(given: dict[str, Any]) -> dict[str, Any]:
    try:
        policy = read_channel_policy(given)
    except ChannelPolicyError as error:
        faults = [Fault(f"body.{name}", why) for name, why in error.faults.items()]
        raise Problem(
            INVALID, "invalid", f"The policy cannot be used: {str(error).rstrip('.')}.", errors=faults
        ) from error
    for text in policy.windows:
        window = parse_window(text)
        if not ever_occurs(window.cron, window.zone):
            raise invalid("body.windows", NEVER.format(text))
    return write_channel_policy(policy)
