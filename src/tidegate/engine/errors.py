"""What can go wrong between the agent and an engine; each message says what to do about it."""


class EngineError(Exception):
    """Anything the engine refused or could not do."""


class EngineUnavailableError(EngineError):
    """Nothing answers at the engine's address, or it may not be used."""


class EngineVersionError(EngineError):
    """The engine is older or newer than what can be spoken with."""


class NotFoundError(EngineError):
    """The container, image or network does not exist."""


class ConflictError(EngineError):
    """The engine refuses in the object's present state."""


class NameTakenError(ConflictError):
    """Another container or network has the name."""


class SubnetTakenError(ConflictError):
    """The address range overlaps with another network's."""


class AddressTakenError(ConflictError):
    """Another container has the static address."""


class PortTakenError(ConflictError):
    """A host port is held by somebody else."""


class NotRunnableError(EngineError):
    """The command, the user or the working directory of a container is not in its image, or cannot be used."""


class PullError(EngineError):
    """A pull came to nothing. Of this kind itself: the same pull, made again at once, would end like this one."""


class PullBrokenError(PullError):
    """A pull broke off for a reason that can pass within seconds: `why`, in the engine's words."""

    def __init__(self, message: str, why: str) -> None:
        super().__init__(message)
        self.why = why


class PullLimitedError(PullError):
    """The registry limits how often it is asked, and wants to be left alone for a while."""


class PullDeniedError(PullError):
    """The registry did not accept the credentials."""


class ImageMissingError(PullError, NotFoundError):
    """The registry has no such tag or digest."""


class PlatformMissingError(PullError):
    """The image does not exist for this platform."""


class NoSpaceError(PullError):
    """The engine's disk is full."""
