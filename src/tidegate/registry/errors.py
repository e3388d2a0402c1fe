"""What can go wrong between the agent and a registry; each is one line with the image, the fact and the remedy."""

from copy import copy
from typing import Self

from tidegate.domain.reference import Reference


class RegistryError(Exception):
    """`reference` could not be looked up. `status` is the HTTP status that said so, or None."""

    def __init__(self, reference: Reference, what: str, remedy: str, status: int | None = None) -> None:
        super().__init__(reference, what, remedy, status)
        self.reference = reference
        self.what = what
        self.remedy = remedy
        self.status = status

    def about(self, reference: Reference) -> Self:
        """The same fact told of another image of that registry: requests are shared between images."""
        told = copy(self)
        told.reference = reference
        return told

    def __str__(self) -> str:
        return f"{self.reference.familiar}: {self.what}; {self.remedy}"


class UnauthorizedError(RegistryError):
    """The registry wants other credentials than it got; the message says where they came from."""


class CredentialsError(RegistryError):
    """The registry wants credentials, and the configured ones could not be read."""


class AddressUnusableError(RegistryError):
    """The registry's name, or the name of the proxy on the way to it, is no address that can be asked."""


class ForbiddenError(RegistryError):
    """The registry knows who asks and does not allow it."""


class ManifestNotFoundError(RegistryError):
    """The repository, the tag or the digest is not there."""


class PlatformNotFoundError(RegistryError):
    """The image exists, but not for this platform; the message lists those that exist."""


class MalformedAnswerError(RegistryError):
    """The answer was cut short, was not what its digest says, or is not the distribution protocol."""


class RedirectRefusedError(RegistryError):
    """The registry points to a place that is not safe to follow to."""


class RegistryUnavailableError(RegistryError):
    """Nobody answers, or the registry has a failure of its own: later may be better."""

    def __init__(
        self,
        reference: Reference,
        what: str,
        remedy: str,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(reference, what, remedy, status)
        self.args = (reference, what, remedy, status, retry_after_s)
        self.retry_after_s = retry_after_s


class RateLimitedError(RegistryUnavailableError):
    """The registry asks to come back later; `retry_after_s` if it said when."""


class UntrustedCertificateError(RegistryUnavailableError):
    """The registry's certificate could not be verified."""
