"""`tidegate release`: the commands of a pipeline that has pushed an image."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from tidegate.cli.failures import FAILED, REFUSED, USAGE
from tidegate.cli.fleet.errors import UsageError
from tidegate.cli.fleet.options import TIMEOUT_S, Timeout
from tidegate.cli.fleet.session import ended
from tidegate.cli.fleet.show import complain, print_json, say
from tidegate.cli.release.labels import make_labels, uncommitted
from tidegate.cli.release.publish import Order, find, publish
from tidegate.cli.release.settings import SECRET_FILE_VARIABLE, SECRET_VARIABLE, read_settings
from tidegate.cli.release.webhook import NotToldError, webhook_url
from tidegate.domain.publication import PublicationRefusedError
from tidegate.domain.reference import InvalidReferenceError, Reference, parse_reference
from tidegate.domain.release_labels import CREATED, REVISION, SOURCE, VERSION
from tidegate.domain.release_tags import ReleaseTags, TagsError, release_tags
from tidegate.registry.errors import RegistryError
from tidegate.registry.failures import LATER
from tidegate.registry.transport import CaFileError

release = typer.Typer(
    no_args_is_help=True,
    help="For a pipeline that has pushed an image: its labels, its tags, and word to the manager.",
    pretty_exceptions_enable=False,
)

Source = Annotated[str | None, typer.Option("--source", metavar="URL", help="Where the source is.")]
Channel = Annotated[
    str, typer.Option("--channel", metavar="TAG", help="The tag that targets follow; it is moved last.")
]
Revision = Annotated[
    str, typer.Option("--revision", metavar="COMMIT", help="The commit's id, of which the fixed tag is made.")
]
Version = Annotated[str | None, typer.Option("--version", metavar="VERSION", help="What people call the release.")]


@release.command("publish")
def release_publish(
    image: Annotated[
        str,
        typer.Argument(metavar="IMAGE", help="REPOSITORY@DIGEST as pushed, or REPOSITORY:TAG of another tag."),
    ],
    *,
    channel: Channel,
    revision: Revision,
    fixed_tags: Annotated[
        list[str] | None, typer.Option("--fixed-tag", metavar="TAG", help="One more, such as 1.2.3; repeatable.")
    ] = None,
    source: Source = None,
    version: Version = None,
    webhook: Annotated[
        str | None,
        typer.Option("--webhook", metavar="URL", help=f"A manager to be told; the secret is in {SECRET_VARIABLE}."),
    ] = None,
    allow_older: Annotated[bool, typer.Option("--allow-older", help="Let the channel go back.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look at all of it, and change nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, also where it fails.")] = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Give an image its fixed tag, then move the channel to it, then tell the manager. May be repeated."""

    async def work() -> None:
        settings = read_settings(os.environ)
        tags = _tags(channel, revision, fixed_tags)
        if webhook and not settings.secret:
            raise UsageError(f"--webhook needs the manager's secret: set {SECRET_VARIABLE} or {SECRET_FILE_VARIABLE}.")
        order = Order(
            image=_image(image, channel),
            tags=tags,
            expected={key: text for key, text in ((REVISION, revision), (SOURCE, source), (VERSION, version)) if text},
            webhook=webhook_url(webhook) if webhook else None,
            allow_older=allow_older,
            dry_run=dry_run,
            timeout_s=timeout_s,
        )
        await publish(order, settings, as_json=as_json)

    _finish(work)


@release.command("find")
def release_find(
    repository: Annotated[str, typer.Argument(metavar="REPOSITORY", help="Such as ghcr.io/acme/web.")],
    *,
    channel: Channel,
    revision: Revision,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Print the digest that a commit was published as, or nothing: what has its fixed tag is not built anew."""

    async def work() -> None:
        (fixed,) = _tags(channel, revision, None).fixed
        digest = await find(_repository(repository), fixed, read_settings(os.environ), timeout_s=timeout_s)
        if digest:
            say(digest)

    _finish(work)


@release.command("labels")
def release_labels(
    *,
    folder: Annotated[Path, typer.Option("--folder", metavar="PATH", help="Where the commit is checked out.")] = Path(),
    source: Source = None,
    revision: Annotated[str | None, typer.Option("--revision", metavar="COMMIT", help="The commit's whole id.")] = None,
    version: Version = None,
    created: Annotated[str | None, typer.Option("--created", metavar="TIME", help="When, in RFC 3339.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the labels for `docker build`, a `--label NAME=VALUE` a line. What is not given is asked of git."""

    async def work() -> None:
        given = {SOURCE: source, REVISION: revision, VERSION: version, CREATED: created}
        labels = make_labels(folder, os.environ, given)
        if not revision and uncommitted(folder):
            complain(f"Files in {folder} differ from {labels[REVISION][:12]}: an image of them is not what it says.")
        if as_json:
            print_json(labels)
            return
        for key, value in labels.items():
            say(f"--label {key}={value}")

    _finish(work)


def _finish(work: Callable[[], Awaitable[None]]) -> NoReturn:
    async def told() -> int | None:
        try:
            await work()
        except PublicationRefusedError as error:
            complain(str(error))
            return REFUSED
        except RegistryError as error:
            complain(_told(error))
            return FAILED
        except NotToldError as error:
            complain(str(error))
            return FAILED
        except CaFileError as error:
            complain(str(error))
            return USAGE
        return None

    raise typer.Exit(ended(told))


def _told(error: RegistryError) -> str:
    """Nobody asks later by himself here, as an agent does."""
    remedy = error.remedy.replace(LATER, "repeat the command later, what is done already stays so")
    return f"{error.reference.familiar}: {error.what}; {remedy}."


def _image(text: str, channel: str) -> Reference:
    try:
        image = parse_reference(text)
    except InvalidReferenceError as error:
        raise UsageError(f"{error}.") from None
    if image.digest is None and image.tag is None:
        raise UsageError(f"{text} names no content: write its digest, {text}@sha256:..., as the push told it.")
    if image.digest is None and image.tag == channel:
        raise UsageError(f"{text} is the channel itself, which is moved last: push by digest, or under another tag.")
    return image


def _repository(text: str) -> Reference:
    try:
        repository = parse_reference(text)
    except InvalidReferenceError as error:
        raise UsageError(f"{error}.") from None
    if repository.digest or repository.tag:
        raise UsageError(f"{text} has a tag or digest; write the repository alone.")
    return repository


def _tags(channel: str, revision: str, fixed: list[str] | None) -> ReleaseTags:
    try:
        return release_tags(channel, revision, tuple(fixed or ()))
    except TagsError as error:
        raise UsageError(str(error)) from None
