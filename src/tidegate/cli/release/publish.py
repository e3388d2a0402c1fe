"""`tidegate release publish`: look, set the tags in order, tell the manager; and say how far it came."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from yarl import URL

from tidegate.cli.fleet.show import complain, print_json, say
from tidegate.cli.release.settings import ReleaseSettings
from tidegate.cli.release.webhook import NotToldError, tell
from tidegate.domain.publication import Step
from tidegate.domain.reference import Reference
from tidegate.domain.release_labels import PREFIX
from tidegate.domain.release_tags import ReleaseTags
from tidegate.registry.access import Access
from tidegate.registry.client import RegistryClient
from tidegate.registry.publish import Publication, named, plan, set_tag


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for. `expected` are labels that the image has to have; `webhook` is None where nobody is told."""

    image: Reference
    tags: ReleaseTags
    expected: dict[str, str]
    webhook: URL | None
    allow_older: bool
    dry_run: bool
    timeout_s: float


@dataclass(slots=True)
class Progress:
    """What was found and done."""

    order: Order
    found: Publication | None = None
    done: list[Step] = field(default_factory=list)
    asked: list[str] | None = None
    error: str | None = None

    @property
    def digest(self) -> str:
        """What is published; it was found."""
        assert self.found is not None  # noqa: S101 - for the type checker
        return self.found.manifest.digest

    def word(self, step: Step) -> str:
        """What became of a tag."""
        if step.is_done(self.digest):
            return "kept"
        what = "set" if step.before is None else "moved"
        return what if step in self.done else f"would be {what}" if self.order.dry_run else f"not {what}"

    def _tag(self, step: Step) -> dict[str, Any]:
        return {"tag": step.tag, "before": step.before, "what": self.word(step)}

    def document(self) -> dict[str, Any]:
        """All of it, for programs."""
        found = self.found
        return {
            "repository": self.order.image.name,
            "digest": found.manifest.digest if found else self.order.image.digest,
            "channel": self.order.tags.channel,
            "fixed_tags": list(self.order.tags.fixed),
            "labels": {key.removeprefix(PREFIX): value for key, value in found.labels.items()} if found else None,
            "tags": [self._tag(step) for step in (found.steps if found else ())],
            "webhook": None if self.order.webhook is None else {"url": str(self.order.webhook), "asked": self.asked},
            "dry_run": self.order.dry_run,
            "error": self.error,
        }


async def publish(order: Order, settings: ReleaseSettings, *, as_json: bool) -> None:
    """Do it, and print how far it came, also where it fails.

    Raises `PublicationRefusedError`, `RegistryError`, `CaFileError` or `NotToldError`.
    """
    progress = Progress(order)
    try:
        await _tags(progress, settings)
        await _told(progress, settings)
    except Exception as error:
        progress.error = str(error)
        raise
    finally:
        print_json(progress.document()) if as_json else _print(progress)


async def find(repository: Reference, tag: str, settings: ReleaseSettings, *, timeout_s: float) -> str | None:
    """The digest that a tag names. Raises `RegistryError` or `CaFileError`."""
    client = _client(settings, Access.READ, timeout_s)
    try:
        return await named(client, repository, tag)
    finally:
        await client.close()


def _client(settings: ReleaseSettings, access: Access, timeout_s: float) -> RegistryClient:
    return RegistryClient(
        settings.credentials,
        insecure=settings.insecure,
        ca_file=settings.ca_file,
        access=access,
        timeout_s=timeout_s,
    )


async def _tags(progress: Progress, settings: ReleaseSettings) -> None:
    order = progress.order
    client = _client(settings, Access.READ if order.dry_run else Access.WRITE, order.timeout_s)
    try:
        found = await plan(client, order.image, order.tags, order.expected, allow_older=order.allow_older)
        progress.found = found
        for step in found.steps if not order.dry_run else ():
            await set_tag(client, found, step)
            progress.done.append(step)
    finally:
        await client.close()


async def _told(progress: Progress, settings: ReleaseSettings) -> None:
    """Also where the channel was there already: what was cut short is repeated whole."""
    order = progress.order
    if order.webhook is None or order.dry_run:
        return
    document = {"image": f"{order.image.name}:{order.tags.channel}", "digest": progress.digest}
    try:
        progress.asked = await tell(
            order.webhook, document, settings.secret, ca_file=settings.manager_ca, timeout_s=order.timeout_s
        )
    except NotToldError as error:
        raise NotToldError(
            f"The tags are set, and {order.webhook.authority} was not told: {error}. It finds the release when it asks "
            "the registry next; to tell it now, repeat the command."
        ) from error


def _print(progress: Progress) -> None:
    if progress.found is None:
        return
    steps: Sequence[Step] = progress.found.steps
    width = max(len(step.tag) for step in steps)
    say(f"{progress.order.image.familiar_name}@{progress.digest}")
    for step in steps:
        before = f", it names {step.before}" if step.before not in (None, progress.digest) else ""
        before = before.replace("it names", "from") if step in progress.done else before
        say(f"  {step.tag:<{width}}  {progress.word(step)}{before}")
    if progress.asked:
        say(f"  the manager asks about {', '.join(progress.asked)} now")
    elif progress.asked is not None:
        complain("The manager was told, and follows no such channel: no agent that it knows runs from it.")
