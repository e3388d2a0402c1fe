"""What was seen on channels, and what changes with it."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, Field

from tidegate.domain.reference import is_digest
from tidegate.manager.api.access import needs
from tidegate.manager.api.change import PartsHere
from tidegate.manager.api.paging import Page, PagingHere, page
from tidegate.manager.api.problems import invalid, not_found
from tidegate.manager.api.router import router as make_router
from tidegate.manager.people.roles import Permission
from tidegate.manager.releases import views
from tidegate.manager.store.schema import releases

router = make_router("releases")
_LARGEST = 2**63 - 1
_READ = needs(Permission.READ)
Number = Annotated[int, Path(ge=1, le=_LARGEST, description="The number of the release.")]
Digest = Annotated[str | None, Query(max_length=200, description="Only releases with this digest.")]


class ChannelNamed(BaseModel):
    """A channel."""

    id: int = Field(description="Its number.")
    name: str = Field(description="`REPOSITORY:TAG`.")


class Release(BaseModel):
    """One digest that was seen on a channel."""

    id: int = Field(description="The number of the release.")
    channel: ChannelNamed = Field(description="Where it was seen.")
    digest: str = Field(description="What it is, `sha256:...`.")
    version: str = Field(description="What the image calls its version; empty: nothing.")
    revision: str = Field(description="The commit that it was built from, as the image says; empty: it does not.")
    source: str = Field(description="Where its source is, as the image says; empty: it does not.")
    fixed_tag: str = Field(description="A tag that names the same digest and is not known to move; empty: none found.")
    image_created: datetime | None = Field(description="When it was built, as the image says.")
    size: int | None = Field(description="Bytes of its layers as they are sent, on the most common platform.")
    seen_at: datetime = Field(description="When the manager learned of it.")
    named_at: datetime = Field(description="When the tag came to name it last; 1970: never, as far as is known.")
    told_by: str = Field(description="Who told of it first: `registry`, `agent NAME`, or `running`.")
    read_at: datetime | None = Field(description="When it was read from the registry; null: not yet.")
    trouble: str = Field(description="What could not be read of it, and why; empty: nothing.")
    newest: bool = Field(description="Whether it is what the tag names now.")
    quarantined: bool = Field(description="Whether nobody is offered it.")
    running: int = Field(description="How many targets of the channel run it.")


class ReleaseInFull(Release):
    """A release with all that is known of it."""

    labels: dict[str, str] = Field(description="Labels and annotations.")
    platforms: list[str] = Field(description="The platforms that it was read for: those of the channel's targets.")


class ChangeShown(BaseModel):
    """One thing that differs."""

    field: str = Field(description="What: `user`, `ports`, `health check`, `env NAME`, `label NAME` and the like.")
    before: str = Field(description="What it is; empty: it is not there. What may be a secret is `***`.")
    after: str = Field(description="What it will be; empty: it will not be there.")
    note: str = Field(description="What that means; empty: nothing is to be said of it.")
    dangerous: bool = Field(description="Whether somebody should have meant it.")
    link: str = Field(description="A page that shows more of it; empty: none.")
    platform: str = Field(description="Where it is so; empty: on every platform.")


class SideShown(BaseModel):
    """One of two images."""

    digest: str = Field(description="Which.")
    release: int | None = Field(description="The number of the release; null: it is none of this channel.")
    version: str = Field(description="Its version; empty: none is known.")


class Changes(BaseModel):
    """What changes from one image to another."""

    before: SideShown | None = Field(description="What it is compared with; null: nothing runs.")
    after: SideShown = Field(description="What is to run.")
    changes: list[ChangeShown] = Field(description="What differs, the dangerous first.")
    note: str = Field(description="Why less is known than there could be; empty: all is known.")


@router.get("/releases", dependencies=[_READ])
async def list_releases(
    parts: PartsHere,
    paging: PagingHere,
    channel: Annotated[int | None, Query(ge=1, le=_LARGEST, description="Only releases of this channel.")] = None,
    digest: Digest = None,
) -> Page[Release]:
    """List what was seen on channels, the newest first."""
    wanted = views.listed()
    if channel is not None:
        wanted = wanted.where(releases.c.channel_id == channel)
    if digest is not None:
        wanted = wanted.where(releases.c.digest == digest)
    async with parts.db.read() as conn:
        return page(await paging.rows(conn, wanted, releases.c.id, newest_first=True), release_shown)


@router.get("/releases/{release_id}", dependencies=[_READ])
async def get_release(parts: PartsHere, release_id: Number) -> ReleaseInFull:
    """Show all that is known of a release."""
    async with parts.db.read() as conn:
        row = await views.one(conn, release_id)
    if row is None:
        raise not_found(f"release {release_id}", "GET /api/v1/releases lists them.")
    shown = release_shown(row)
    return ReleaseInFull(**shown.model_dump(), labels=row.labels, platforms=sorted(row.configs))


@router.get("/releases/{release_id}/changes", dependencies=[_READ])
async def get_release_changes(
    parts: PartsHere,
    release_id: Number,
    before: Annotated[
        str | None,
        Query(alias="from", max_length=200, description="The digest to compare with; else what most targets run."),
    ] = None,
) -> Changes:
    """Show what changes for a target when it gets this release."""
    if before is not None and not is_digest(before):
        raise invalid("query.from", "it is no digest; it takes `sha256:` and 64 hex digits", accepted="sha256:...")
    async with parts.db.read() as conn:
        row = await views.one(conn, release_id)
        if row is None:
            raise not_found(f"release {release_id}", "GET /api/v1/releases lists them.")
        return changes_shown(await views.compare(conn, row.channel_id, row.digest, before))


def release_shown(row: Any) -> Release:
    """A row of `views.listed` as it is sent."""
    named = ChannelNamed(id=row.channel_id, name=row.channel_name)
    fields = {name: getattr(row, name) for name in Release.model_fields if name != "channel"}
    return Release(channel=named, **fields)


def changes_shown(found: views.Comparison) -> Changes:
    """What changes, as it is sent."""
    rows = [ChangeShown(**{name: getattr(one, name) for name in ChangeShown.model_fields}) for one in found.changes]
    before = _side(found.before) if found.before is not None else None
    return Changes(before=before, after=_side(found.after), changes=rows, note=found.note)


def _side(one: views.Side) -> SideShown:
    return SideShown(digest=one.digest, release=one.release_id, version=one.version)
