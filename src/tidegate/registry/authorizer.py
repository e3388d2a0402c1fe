"""Tokens and passwords: one token per repository, asked for once and kept while it lasts."""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any, Final

from yarl import URL

from tidegate.domain.reference import Reference
from tidegate.registry.access import Access
from tidegate.registry.challenge import Challenge, Scheme
from tidegate.registry.credential import Credential, CredentialsUnusableError, basic_header
from tidegate.registry.credentials import CredentialsProvider
from tidegate.registry.endpoint import AddressError, follow
from tidegate.registry.errors import CredentialsError, RedirectRefusedError, RegistryError, UnauthorizedError
from tidegate.registry.failures import malformed, status_error
from tidegate.registry.shared import Shared
from tidegate.registry.transport import Answer, Redirects, Request, Transport

# What the token protocol says where a token does not tell, and the least that counts.
_TOKEN_LIFE_S: Final = 60.0
_PASSWORD_LIFE_S: Final = 300.0
_TOKEN_LIMIT: Final = 1 << 20
_OK, _UNAUTHORIZED, _NOT_FOUND = 200, 401, 404


@dataclass(frozen=True, slots=True, eq=False)
class Authorization:
    """An Authorization header, until when it may be used, and whose it is.

    `header` is None for nobody's. `trouble` is why the account that is configured could not be had.
    """

    header: str | None = field(repr=False)
    expires_at: float
    source: str
    trouble: CredentialsUnusableError | None = None


class Authorizer:
    """Answers challenges. Times are of `clock`, in seconds."""

    def __init__(
        self,
        transport: Transport,
        provider: CredentialsProvider,
        *,
        insecure: Collection[str],
        clock: Callable[[], float],
        access: Access = Access.READ,
    ) -> None:
        self._transport = transport
        self._provider = provider
        self._insecure = insecure
        self._clock = clock
        self._access = access
        self._known: Shared[tuple[str, str], Authorization] = Shared(lambda kept: kept.expires_at > clock())

    async def authorize(self, reference: Reference, base: URL, challenge: Challenge) -> Authorization:
        """What to show for `reference` at the registry `base`. Raises `RegistryError`."""
        make = self._password if challenge.scheme is Scheme.BASIC else self._token
        try:
            return await self._known.get(_key(reference, challenge), lambda: make(reference, base, challenge))
        except RegistryError as error:
            raise error.about(reference) from error

    def reject(self, reference: Reference, challenge: Challenge, used: Authorization) -> None:
        """The registry did not take it: the next one is asked for anew."""
        self._known.drop(_key(reference, challenge), used)

    def refused(self, reference: Reference, used: Authorization | None) -> RegistryError:
        """A 401 to what was shown, if anything was: whose it was, or why there was none."""
        if used is not None and used.trouble is not None:
            return CredentialsError(reference, used.trouble.what, used.trouble.remedy, _UNAUTHORIZED)
        source = used.source if used is not None else ""
        if source:
            return UnauthorizedError(
                reference,
                f"{reference.registry} did not accept the credentials from {source} for {reference.repository} (401)",
                f"renew them, or give the account {self._access.right}",
                _UNAUTHORIZED,
            )
        return UnauthorizedError(
            reference,
            f"{reference.registry} wants credentials for {reference.repository}, or it does not exist (401)",
            f"run `docker login {reference.registry}` and mount Docker's config.json, or set REPO_USER and REPO_PASS",
            _UNAUTHORIZED,
        )

    async def close(self) -> None:
        """Forget everything."""
        await self._known.close()

    async def _credential(self, reference: Reference) -> tuple[Credential | None, CredentialsUnusableError | None]:
        """An account that cannot be had stops nothing: what is public needs none."""
        try:
            return await self._provider.credential(reference.registry), None
        except CredentialsUnusableError as error:
            return None, error

    async def _password(self, reference: Reference, _: URL, __: Challenge) -> Authorization:
        credential, trouble = await self._credential(reference)
        now = self._clock()
        if credential is None or not credential.password:
            return Authorization(None, now, "", trouble)  # not kept: the next question may have an account
        header = basic_header(credential.username, credential.password)
        return Authorization(header, now + _PASSWORD_LIFE_S, credential.source)

    async def _token(self, reference: Reference, base: URL, challenge: Challenge) -> Authorization:
        credential, trouble = await self._credential(reference)
        realm = self._realm(reference, base, challenge)
        asked_at = self._clock()
        answer = await self._transport.send(reference, self._token_request(reference, realm, challenge, credential))
        nobody = Authorization(None, asked_at, credential.source if credential else "", trouble)
        if answer.status == _UNAUTHORIZED:
            raise self.refused(reference, nobody)
        if answer.status == _NOT_FOUND:
            raise malformed(reference, f"the token service {answer.url.authority} is not there (404)", _NOT_FOUND)
        if answer.status != _OK:
            raise status_error(reference, answer.url, answer.status, answer.headers, answer.body, access=self._access)
        token, life_s = _read_token(reference, answer)
        return replace(nobody, header=f"Bearer {token}", expires_at=asked_at + life_s)

    def _token_request(
        self, reference: Reference, realm: URL, challenge: Challenge, credential: Credential | None
    ) -> Request:
        """An identity token is traded by POST (OAuth 2); a password, or nobody, asks by GET."""
        asked = {"service": challenge.service, "scope": f"repository:{reference.repository}:{self._access.actions}"}
        if credential is not None and credential.identity_token:
            form = {
                **asked,
                "grant_type": "refresh_token",
                "client_id": "tidegate",
                "refresh_token": credential.identity_token,
            }
            return Request("POST", realm, "tokens", Redirects.STAY, _TOKEN_LIMIT, form=form)
        url = realm.update_query(asked)
        authorization = None if credential is None else basic_header(credential.username, credential.password)
        return Request("GET", url, "tokens", Redirects.STAY, _TOKEN_LIMIT, authorization=authorization)

    def _realm(self, reference: Reference, base: URL, challenge: Challenge) -> URL:
        try:
            return follow(base, challenge.realm, self._insecure)
        except AddressError as error:
            raise RedirectRefusedError(
                reference,
                f"{reference.registry} sends for a token to {challenge.realm}, and that was refused: {error}",
                "mend the registry's token settings (realm)",
            ) from error


def _key(reference: Reference, challenge: Challenge) -> tuple[str, str]:
    """A password is for the whole registry, a token for one repository."""
    return reference.registry, "" if challenge.scheme is Scheme.BASIC else reference.repository


def _read_token(reference: Reference, answer: Answer) -> tuple[str, float]:
    """The token and how many seconds to use it: a tenth less than it lives, so that it does not end on its way."""
    document: Any = None
    try:
        document = json.loads(answer.body)
        token = document.get("token") or document.get("access_token")
        life_s = max(_TOKEN_LIFE_S, float(document.get("expires_in") or 0))
    except (ValueError, AttributeError, TypeError, OverflowError, RecursionError):
        token, life_s = None, 0.0
    # A token goes into a header: nothing in it may end the line.
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise malformed(reference, f"the token service {answer.url.authority} answered without a usable token")
    return token, life_s * 0.9
