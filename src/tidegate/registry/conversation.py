"""Questions to a registry: find it, show what it wants to see, ask."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Final

from yarl import URL

from tidegate.domain.reference import Reference
from tidegate.registry.access import Access
from tidegate.registry.authorizer import Authorization, Authorizer
from tidegate.registry.challenge import Challenge, ChallengeError, parse_challenge
from tidegate.registry.endpoint import base_urls, same_origin
from tidegate.registry.errors import (
    AddressUnusableError,
    RedirectRefusedError,
    RegistryError,
    RegistryUnavailableError,
    UntrustedCertificateError,
)
from tidegate.registry.failures import malformed, status_error
from tidegate.registry.model import ACCEPTED
from tidegate.registry.shared import Shared
from tidegate.registry.transport import REDIRECT_STATUSES, Answer, Redirects, Request, Transport

_PING_LIMIT: Final = 1 << 20
_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 401, 403, 404


@dataclass(slots=True, eq=False)
class _Endpoint:
    """A registry as it showed itself; no challenge means that it has asked for nothing yet."""

    base: URL
    challenge: Challenge | None


@dataclass(frozen=True, slots=True)
class Content:
    """What is sent with a PUT."""

    media_type: str
    body: bytes = field(repr=False)


class Conversation:
    """Asks about repositories. `/v2/` is asked once per registry, however many repositories it has."""

    def __init__(self, transport: Transport, authorizer: Authorizer, *, insecure: Collection[str]) -> None:
        self._transport = transport
        self._authorizer = authorizer
        self._insecure = insecure
        self._endpoints: Shared[str, _Endpoint] = Shared()

    async def ask(
        self, reference: Reference, method: str, path: str, limit: int, content: Content | None = None
    ) -> Answer:
        """The answer to HEAD, GET or PUT of `path` (`manifests/...`, `blobs/...`), never a 401.

        Credentials that were taken once and no longer are get renewed once. Raises `RegistryError`.
        """
        endpoint = await self._endpoint(reference)
        question = _question(reference, endpoint.base, method, path, limit, content=content)
        used = await self._authorization(reference, endpoint)
        answer = await self._ask_once(reference, endpoint, question, used)
        if answer.status != _UNAUTHORIZED:
            return answer
        self._take_challenge(reference, endpoint, answer, used)
        renewed = await self._authorization(reference, endpoint)
        if _shown(renewed) is None and _shown(used) is None:
            raise self._authorizer.refused(reference, renewed)
        answer = await self._ask_once(reference, endpoint, question, renewed)
        if answer.status == _UNAUTHORIZED:
            raise self._authorizer.refused(reference, renewed)
        return answer

    async def close(self) -> None:
        """Forget the registries."""
        await self._endpoints.close()

    async def _authorization(self, reference: Reference, endpoint: _Endpoint) -> Authorization | None:
        if endpoint.challenge is None:
            return None
        return await self._authorizer.authorize(reference, endpoint.base, endpoint.challenge)

    async def _ask_once(
        self, reference: Reference, endpoint: _Endpoint, question: Request, used: Authorization | None
    ) -> Answer:
        try:
            return await self._transport.send(reference, replace(question, authorization=_shown(used)))
        except RegistryUnavailableError:
            # It may come back as another: with TLS now, or with other rules.
            self._endpoints.drop(reference.registry, endpoint)
            raise

    def _take_challenge(
        self, reference: Reference, endpoint: _Endpoint, answer: Answer, used: Authorization | None
    ) -> None:
        """After a 401: the token ended early, or the registry asks for one only now."""
        if not same_origin(answer.url, endpoint.base):
            raise RedirectRefusedError(
                reference,
                f"{reference.registry} redirects to {answer.url.authority}, which wants credentials of its own",
                "write the name of that registry in the image's reference",
                _UNAUTHORIZED,
            )
        if endpoint.challenge is not None and used is not None:
            self._authorizer.reject(reference, endpoint.challenge, used)
        if endpoint.challenge is None or "WWW-Authenticate" in answer.headers:
            endpoint.challenge = _challenge_of(reference, answer)

    async def _endpoint(self, reference: Reference) -> _Endpoint:
        try:
            return await self._endpoints.get(reference.registry, lambda: self._find(reference))
        except RegistryError as error:
            raise error.about(reference) from error

    async def _find(self, reference: Reference) -> _Endpoint:
        """Try the addresses in order. A certificate that is not trusted is no reason to do without TLS."""
        try:
            *others, last = base_urls(reference.registry, self._insecure)
        except ValueError as error:
            what = f"{reference.registry!r} cannot be the name of a registry"
            raise AddressUnusableError(reference, what, "correct the image's reference") from error
        for base in others:
            try:
                return await self._ping(reference, base)
            except RegistryUnavailableError as error:
                if not _has_no_tls(error):
                    raise
        return await self._ping(reference, last)

    async def _ping(self, reference: Reference, base: URL) -> _Endpoint:
        request = Request("GET", base / "v2" / "", "pings", Redirects.REPORT, _PING_LIMIT)
        answer = await self._transport.send(reference, request)
        if answer.status == _UNAUTHORIZED:
            return _Endpoint(base, _challenge_of(reference, answer))
        if answer.status in (_FORBIDDEN, _NOT_FOUND):
            what = f"{base.authority} does not look like a registry: /v2/ answers {answer.status}"
            raise malformed(reference, what, answer.status)
        # Some registries are a signpost to others: what they want to see is told with each manifest.
        if answer.status not in REDIRECT_STATUSES:
            check(reference, answer)
        return _Endpoint(base, None)


def _shown(authorization: Authorization | None) -> str | None:
    return authorization.header if authorization is not None else None


def check(reference: Reference, answer: Answer, *, expected: int = _OK, access: Access = Access.READ) -> None:
    """Raises the `RegistryError` that the status means, unless it is `expected`."""
    if answer.status != expected:
        raise status_error(reference, answer.url, answer.status, answer.headers, answer.body, access=access)


def _question(
    reference: Reference, base: URL, method: str, path: str, limit: int, *, content: Content | None = None
) -> Request:
    """Redirects of what is read may leave: registries keep blobs, and some their manifests, in other places."""
    url = base.joinpath("v2", *reference.repository.split("/"), *path.split("/"))
    headers = {"Accept": ACCEPTED} if path.startswith("manifests/") else {}
    if content is not None:
        sent = {"Content-Type": content.media_type}
        return Request(method, url, "puts", Redirects.STAY, limit, sent, body=content.body)
    kind = "heads" if method == "HEAD" else "gets"
    return Request(method, url, kind, Redirects.LEAVE, limit, headers)


def _challenge_of(reference: Reference, answer: Answer) -> Challenge:
    try:
        return parse_challenge(", ".join(answer.headers.getall("WWW-Authenticate", ())))
    except ChallengeError as error:
        what = f"{answer.url.authority} wants credentials, but {error}"
        raise malformed(reference, what, answer.status) from error


def _has_no_tls(error: RegistryUnavailableError) -> bool:
    """Whether a failure to connect may mean that the registry listens without TLS."""
    if isinstance(error, UntrustedCertificateError) or error.status is not None:
        return False
    return not isinstance(error.__cause__, TimeoutError)
