"""From a decision to replacements: strategy, pull, preflight and the create requests. Touches nothing."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from tidegate.agent.decide import Decision
from tidegate.agent.guard import NUMBER, PROJECT, SERVICE
from tidegate.agent.moves import Move, with_riders
from tidegate.agent.private import PRIVATE_FOR
from tidegate.agent.replacement import Replacement
from tidegate.agent.survey import Place
from tidegate.domain.namespaces import homes_of
from tidegate.domain.policy import Policy
from tidegate.domain.recreate import CreateRequest, create_request, incumbent_request
from tidegate.domain.recreate_candidate import split
from tidegate.domain.recreate_diff import image_diff
from tidegate.domain.recreate_networks import without_networks
from tidegate.domain.recreate_traits import Traits, traits_of
from tidegate.domain.reference import Reference, parse_reference
from tidegate.domain.strategy import Choice, Facts, NetworkFact, choose
from tidegate.engine.errors import EngineError, NoSpaceError, NotFoundError, PullDeniedError
from tidegate.engine.model import Container, ContainerSummary, Image, Network
from tidegate.engine.port import Engine
from tidegate.registry.credential import CredentialsUnusableError
from tidegate.registry.credentials import CredentialsProvider, engine_auth

_LEAST_FREE_BYTES = 64 * 1024 * 1024
_log = structlog.get_logger(__name__)


class Signatures(Protocol):
    """What lets a release in, or not."""

    async def check(self, image: Reference) -> None:
        """Return if an image, given by digest, may be pulled. Raises `UnverifiedError`."""

    def check_local(self, image: Reference) -> None:
        """Return if an image of the engine's own, which is not pulled, may be used. Raises `UnverifiedError`."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A replacement that could begin now, and the policy it is made under."""

    replacement: Replacement
    policy: Policy


@dataclass(frozen=True, slots=True)
class Around:
    """Everything on the engine, listed once for however many containers are looked at."""

    containers: Sequence[ContainerSummary]
    networks: Mapping[str, Network]
    homes: Mapping[str, frozenset[str]]
    """By a container's id: those in whose namespaces it lives."""

    @property
    def private(self) -> set[str]:
        """Names of the private networks of updates."""
        return {network.name for network in self.networks.values() if PRIVATE_FOR in network.labels}

    def network(self, name: str) -> NetworkFact:
        """What is known of one network."""
        found = self.networks.get(name)
        return NetworkFact("missing", internal=False) if found is None else NetworkFact(found.driver, found.internal)

    def sharers(self, container: Container) -> list[ContainerSummary]:
        """Containers that live in one of this one's namespaces; they are made anew with it."""
        names = {container.id, container.name}
        return [row for row in self.containers if names & self.homes.get(row.id, frozenset())]


class Pulls(Protocol):
    """What brings images to the engine."""

    def check(self, reference: str) -> Reference:
        """The reference, taken apart. Raises `PullLimitedError` while its registry wants to be left alone."""

    async def pull(self, wanted: str, reference: str, auth: str | None) -> None:
        """Pull `wanted`, which people know as `reference`; `auth` is the X-Registry-Auth value. Raises `PullError`."""


class Preparer:
    """Reads the engine, pulls images, and builds the requests of a transaction."""

    def __init__(
        self,
        engine: Engine,
        credentials: CredentialsProvider,
        needs_serving: Mapping[str, str],
        pulls: Pulls,
        signatures: Signatures | None = None,
    ) -> None:
        """`needs_serving` maps a container's name to why a private network was not enough for it, once.

        Without `signatures` none is asked for.
        """
        self._engine = engine
        self._credentials = credentials
        self._needs_serving = needs_serving
        self._pulls = pulls
        self._signatures = signatures
        self._homes: dict[str, frozenset[str]] = {}

    async def around(self) -> Around:
        """List what is on the engine now. Raises `EngineError`."""
        networks = {network.name: network for network in await self._engine.networks()}
        containers = await self._engine.containers()
        # a container's namespaces never change, so each is asked for once
        known = self._homes
        homes = {row.id: known[row.id] if row.id in known else await self._homes_of(row.id) for row in containers}
        self._homes = homes
        return Around(containers, networks, homes)

    async def _homes_of(self, container: str) -> frozenset[str]:
        with contextlib.suppress(NotFoundError):  # gone since it was listed
            return homes_of((await self._engine.container(container)).document)
        return frozenset()

    async def choose(self, place: Place, around: Around) -> Choice:
        """The strategy for one container, and why. Raises `EngineError`."""
        container = await self._engine.container(place.id)
        return self._choose(_own_places(container, around), place.policy, around)

    async def lost(self, place: Place) -> tuple[str, ...]:
        """The paths of a container whose contents do not outlast an update. Raises `EngineError`."""
        return traits_of((await self._engine.container(place.id)).document).tmpfs

    def _choose(self, container: Container, policy: Policy | None, around: Around) -> Choice:
        asked = policy.strategy if policy is not None else None
        return choose(self._facts(container, policy, around), asked)

    def _facts(self, container: Container, policy: Policy | None, around: Around) -> Facts:
        traits = traits_of(container.document)
        networks = {name: around.network(name) for name in container.endpoints}
        return Facts(
            network_mode=container.network_mode,
            networks=networks,
            published=_published(traits),
            static_addresses=traits.static_addresses,
            devices=bool(traits.device_requests or traits.devices),
            writable=traits.writable_mounts,
            sharers=tuple(row.name for row in around.sharers(container)),
            ingress=_ingress(container, policy),
            host_gateway=traits.host_gateway,
            overlap_allowed=policy is not None and policy.overlap,
            running=container.running,
            needs_serving_network=self._needs_serving.get(container.name),
        )

    async def admit(self, decisions: Sequence[tuple[Decision, str]]) -> None:
        """Return if all of these releases may be pulled now, and are signed as the policy asks.

        Raises `PullLimitedError`, `UnverifiedError`, `EngineError`.
        """
        for decision, reference in decisions:
            if not _from_engine(decision) and not await self._has(_wanted(decision, reference)):
                self._pulls.check(reference)
        for decision, reference in decisions:
            if self._signatures is None or decision.ran_here:
                continue
            if _from_engine(decision):
                self._signatures.check_local(parse_reference(reference))
            else:
                await self._signatures.check(_wanted(decision, reference))

    async def pull(self, decision: Decision, reference: str) -> str:
        """Bring the new image to the engine by digest; its id. Raises `PullError`, `EngineError`."""
        if _from_engine(decision):
            return (await self._engine.image(decision.new_image or reference)).id
        wanted = _wanted(decision, reference)
        if not await self._has(wanted):
            await self._room(reference)
            await self._pull(wanted.familiar, reference)
        return (await self._engine.image(wanted.familiar)).id

    async def bring_back(self, reference: str, digest: str) -> None:
        """Have an earlier release on the engine, where somebody has removed it. Raises `PullError`, `EngineError`."""
        wanted = parse_reference(reference).with_digest(digest)
        if not await self._has(wanted):
            await self._room(reference)
            await self._pull(wanted.familiar, reference)

    async def _has(self, image: Reference) -> bool:
        """Whether the engine has an image already."""
        try:
            await self._engine.image(image.familiar)
        except NotFoundError:
            return False
        return True

    async def _room(self, reference: str) -> None:
        free = await self._engine.free_bytes()
        if free is not None and free < _LEAST_FREE_BYTES:
            raise NoSpaceError(
                f"{reference} was not pulled: the engine's disk has {free // 2**20} MiB left; "
                f"free some, e.g. with `docker image prune`, and it is tried again"
            )

    async def _pull(self, wanted: str, reference: str) -> None:
        auth, trouble = await self._auth(parse_reference(reference).registry)
        try:
            await self._pulls.pull(wanted, reference, auth)
        except PullDeniedError as error:
            if trouble is not None:
                raise PullDeniedError(f"{reference} was not pulled: {trouble}") from error
            raise

    async def _auth(self, registry: str) -> tuple[str | None, CredentialsUnusableError | None]:
        """What the engine shows, if anything, and why there is nothing though there should be."""
        try:
            credential = await self._credentials.credential(registry)
        except CredentialsUnusableError as error:
            return None, error
        return engine_auth(credential, registry) if credential is not None else None, None

    async def prepare(self, txid: str, decisions: Sequence[tuple[Decision, str]]) -> list[Prepared]:
        """Replacements for containers and their references, images pulled. Raises `EngineError`, `UnverifiedError`."""
        await self.admit(decisions)
        # every pull comes first: what is looked at before one may be another by its end
        images = [await self.pull(decision, reference) for decision, reference in decisions]
        moves = [
            await self._move(decision, reference, image)
            for (decision, reference), image in zip(decisions, images, strict=True)
        ]
        riders = [[await self._engine.container(row.id) for row in await self._sharers(move)] for move in moves]
        together = with_riders(list(zip(moves, riders, strict=True)))
        return [
            Prepared(await self.replacement(f"{txid}.{number}", move), move.policy)
            for number, move in enumerate(together)
        ]

    async def _move(self, decision: Decision, reference: str, new_image: str) -> Move:
        container = await self._engine.container(decision.place.id)
        policy = decision.place.policy
        if policy is None:
            raise ValueError(f"{container.name} was selected without a policy")
        return Move(
            container,
            policy,
            reference,
            new_image,
            decision.running_digest or "",
            decision.latest_digest or "",
            pin=decision.pin,
            pin_back=decision.pin_back,
        )

    async def _sharers(self, move: Move) -> list[ContainerSummary]:
        return (await self.around()).sharers(move.container)

    async def replacement(self, id_: str, move: Move) -> Replacement:
        """The replacement of one container, complete with the way back."""
        around = await self.around()
        container = _own_places(move.container, around)
        move = replace(move, container=container)
        choice = self._choose(container, move.policy, around)
        old, new = await self._engine.image(container.image_id), await self._engine.image(move.new_image)
        _preflight(container, old, new)
        forward, back = await self._requests(move, old, new)
        networks = tuple(container.endpoints)
        request, endpoints = split(forward, networks)
        saved, saved_endpoints = split(back, networks)
        return Replacement(
            id=id_,
            cluster=container.labels.get(PROJECT, ""),
            service=container.labels.get(SERVICE, "") or container.name,
            number=container.labels.get(NUMBER, "1"),
            name=container.name,
            incumbent=container.id,
            reference=move.reference,
            old_image=container.image_id,
            new_image=move.new_image,
            old_digest=move.old_digest,
            new_digest=move.new_digest,
            strategy=choice.strategy,
            late=choice.late,
            early=choice.early,
            request=request,
            endpoints=endpoints,
            saved=saved,
            saved_endpoints=saved_endpoints,
            was_running=container.running,
            why=choice.reason,
            parent=move.parent,
        )

    async def _requests(self, move: Move, old: Image, new: Image) -> tuple[CreateRequest, CreateRequest]:
        """The way forward and the way back, as create requests."""
        document, api = move.container.document, (await self._engine.version()).api_used
        forward = create_request(
            document,
            old.document,
            new.document,
            image_reference=move.reference,
            api=api,
            names=move.names,
            pin=move.pinned,
        )
        back = incumbent_request(document, api=api, image=move.reference, names=move.names, pin=move.pinned_back)
        return forward, back


def _wanted(decision: Decision, reference: str) -> Reference:
    """What is pulled, and so what has to be signed: the digest behind the tag, be it an index or one platform's."""
    return parse_reference(reference).with_digest(decision.latest_digest or "")


def _from_engine(decision: Decision) -> bool:
    """Whether the image is taken from the engine as it is, and no registry asked."""
    policy = decision.place.policy
    return (policy is not None and policy.no_pull) or _never_pushed(decision)


def _never_pushed(decision: Decision) -> bool:
    """Whether the release is known by its image id only: it was built or loaded here, and no registry has it."""
    return decision.new_image is not None and decision.new_image == decision.latest_digest


def _preflight(container: Container, old: Image, new: Image) -> None:
    """Refuse what cannot run here; tell people what changes."""
    if (new.os, new.architecture) != (old.os, old.architecture):
        raise EngineError(
            f"{container.name}: the new image is for {new.os}/{new.architecture}, what runs is for "
            f"{old.os}/{old.architecture}; publish the image for this platform too"
        )
    for change in image_diff(old.document, new.document):
        _log.info("image changes", container=container.name, field=change.field, old=change.old, new=change.new)
    if paths := traits_of(container.document).tmpfs:
        _log.info("contents of tmpfs do not outlast the update", container=container.name, paths=paths)


def _published(traits: Traits) -> tuple[str, ...]:
    ports = [f"{port.host_port or 'any'}->{port.container_port}" for port in traits.published_ports]
    return tuple(ports) if ports or not traits.publishes_all else ("any->all exposed",)


def _ingress(container: Container, policy: Policy | None) -> tuple[str, ...]:
    """The labelled networks; Compose prefixes a network's name with the project, people write it without."""
    asked = policy.ingress_networks if policy is not None else ()
    return tuple(
        name for name in container.endpoints if any(name == wish or name.endswith(f"_{wish}") for wish in asked)
    )


def _own_places(container: Container, around: Around) -> Container:
    """The container without the private networks of updates, its own or its neighbours'."""
    private = around.private
    endpoints = {name: endpoint for name, endpoint in container.endpoints.items() if name not in private}
    return replace(container, endpoints=endpoints, document=without_networks(container.document, private))
