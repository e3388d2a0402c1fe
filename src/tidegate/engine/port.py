"""The Docker Engine as the agent needs it: typed verbs, and nothing that passes a raw call through."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Protocol

from tidegate.engine.model import (
    Container,
    ContainerSummary,
    Document,
    EngineVersion,
    Event,
    ExecResult,
    FileStat,
    Image,
    Network,
    PullProgress,
)


class Engine(Protocol):
    """Verbs of one engine. A container may be given by id or by name; every verb may raise `EngineError`.

    Verbs that end a state are idempotent: stopping what is stopped, removing what is gone and disconnecting
    what is not connected succeed and change nothing.
    """

    async def version(self) -> EngineVersion:
        """What answers, and the API version agreed on."""

    async def containers(
        self, *, running_only: bool = False, labels: Mapping[str, str] | None = None
    ) -> list[ContainerSummary]:
        """Every container that carries all `labels` (an empty value matches any)."""

    async def container(self, ref: str) -> Container:
        """Inspect one container. Raises `NotFoundError`."""

    async def create(self, name: str, request: Document) -> str:
        """Create a container from a create request; its id. Raises `NameTakenError`, `NotFoundError` (image)."""

    async def start(self, ref: str) -> None:
        """Start it. Raises `PortTakenError` where a host port is held by somebody else."""

    async def stop(self, ref: str, *, signal: str | None, timeout_s: int | None) -> None:
        """Send its stop signal, wait `timeout_s`, then kill. None leaves both to the container's own settings."""

    async def restart(self, ref: str) -> None:
        """Stop it as its own settings say, and start it: one call, which the engine ends whatever becomes of us."""

    async def kill(self, ref: str, *, signal: str) -> None:
        """Send one signal; does not wait. A container that does not run is left alone."""

    async def wait_exit(self, ref: str) -> int:
        """Wait until it does not run; its exit code."""

    async def rename(self, ref: str, name: str) -> None:
        """Give it a new name. Raises `NameTakenError`."""

    async def remove(self, ref: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove it; anonymous volumes stay unless `volumes`."""

    async def set_restart_policy(self, ref: str, policy: Document) -> None:
        """Change the restart policy of an existing container, e.g. `{"Name": "no"}`."""

    async def connect(self, network: str, container: str, settings: Document) -> None:
        """Join a network with endpoint settings (aliases, addresses); already being there is not an error."""

    async def disconnect(self, network: str, container: str, *, force: bool = False) -> None:
        """Leave a network."""

    async def networks(self, *, labels: Mapping[str, str] | None = None) -> list[Network]:
        """Every network that carries all `labels`; members are not filled in."""

    async def network(self, ref: str) -> Network:
        """Inspect one network with its members. Raises `NotFoundError`."""

    async def create_network(self, name: str, *, internal: bool, labels: Mapping[str, str], subnet: str | None) -> str:
        """Create a bridge network; its id. Raises `NameTakenError`, `SubnetTakenError`."""

    async def remove_network(self, ref: str) -> None:
        """Remove a network. Raises `ConflictError` while something is connected."""

    async def image(self, ref: str) -> Image:
        """Inspect one image by id, tag or digest. Raises `NotFoundError`."""

    async def images(self) -> list[Image]:
        """Every image of the store (`document` holds the list row only)."""

    async def pull(
        self, reference: str, *, auth: str | None, progress: Callable[[PullProgress], None] | None = None
    ) -> None:
        """Pull `repository@digest` or `repository:tag`. `auth` is the X-Registry-Auth value.

        Raises `PullBrokenError`, `PullLimitedError`, `PullDeniedError`, `NoSpaceError`, `PlatformMissingError` and
        other kinds of `PullError`.
        """

    async def tag(self, image: str, repository: str, tag: str) -> None:
        """Point `repository:tag` at an image."""

    async def remove_image(self, ref: str) -> None:
        """Remove a tag, or an image nobody uses. Raises `ConflictError` where it is in use."""

    async def execute(self, ref: str, command: Sequence[str], *, timeout_s: float | None) -> ExecResult:
        """Run a command in a running container. Raises `TimeoutError`; `ConflictError` if it does not run."""

    async def changed_paths(self, ref: str) -> list[str]:
        """Paths in a container's own file system that were added or changed since it was its image's."""

    async def file_stat(self, ref: str, path: str) -> FileStat:
        """What a path in a container is, running or not. Raises `NotFoundError`."""

    async def packed(self, ref: str, path: str) -> bytes:
        """A file of a container as a tar with one member, owner and mode included. Raises `NotFoundError`."""

    async def unpack(self, ref: str, tar: bytes) -> None:
        """Put what a tar holds into a container; names are from its root, owners and modes as in the tar."""

    async def logs(self, ref: str, *, tail: int) -> str:
        """The last lines of its output, both streams."""

    def events(self, *, since_ns: int | None, until_ns: int | None = None) -> AsyncIterator[Event]:
        """Container and network events from `since_ns` on; ends at `until_ns`, or when the engine goes."""

    async def forgot_before_ns(self) -> int:
        """Its memory of events reaches back to here: the time of the oldest one, or 0 where none has been dropped yet.

        It keeps the last 256 of every kind since it started, and each health check makes three.
        """

    async def free_bytes(self) -> int | None:
        """Free space where the engine keeps images, or None where it cannot be known from here."""

    async def close(self) -> None:
        """Close the connection."""
