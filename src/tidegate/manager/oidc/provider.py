"""One OpenID provider: what it says of itself, and what it says of who has signed in there."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from tidegate.manager.oidc.address import is_safe
from tidegate.manager.oidc.attempt import Attempt
from tidegate.manager.oidc.errors import AttemptError, ProviderError, told
from tidegate.manager.oidc.fetch import fetch
from tidegate.manager.oidc.id_token import Expected, KeyNotKnownError, check
from tidegate.manager.oidc.person import Rules
from tidegate.registry.credential import basic_header

_KEPT_S = 600.0
"""After which the provider is asked anew what it is. Keys are asked for whenever an unknown one has signed, too."""


@dataclass(frozen=True, slots=True)
class Client:
    """What the provider knows the manager as, and what it is asked for."""

    issuer: str
    id: str
    secret: str = field(repr=False)
    scopes: str
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class Known:
    """What a provider says of itself. `in_form`: the secret is sent in the form, where it takes it in no header."""

    authorization: str
    token: str
    keys: str
    userinfo: str | None
    in_form: bool


class Provider:
    """`clock` is for what it signs; what it said is kept by the loop's own time."""

    def __init__(self, client: Client, rules: Rules, tls: ssl.SSLContext, clock: Callable[[], datetime]) -> None:
        self.issuer, self.rules = client.issuer, rules
        self._client, self._tls, self._clock = client, tls, clock
        self._known: Known | None = None
        self._keys: KeySet | None = None
        self._until_s = 0.0

    async def begin(self, attempt: Attempt) -> str:
        """Where the browser is sent to. Raises `ProviderError`."""
        known = await self._discovered()
        asked = {
            "response_type": "code",
            "client_id": self._client.id,
            "redirect_uri": self._client.redirect_uri,
            "scope": self._client.scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        return f"{known.authorization}{'&' if urlsplit(known.authorization).query else '?'}{urlencode(asked)}"

    async def claims(self, code: str, attempt: Attempt) -> Mapping[str, Any]:
        """What it says of who has signed in; more of it than is in the ID token is asked for where that lacks it.

        Raises `ProviderError` and `AttemptError`.
        """
        tokens = await self._exchanged(code, attempt)
        claims = await self._checked(str(tokens.get("id_token", "")), attempt)
        known = await self._discovered()
        if self.rules.answered_by(claims) or known.userinfo is None or "access_token" not in tokens:
            return claims
        status, more = await fetch(known.userinfo, self._tls, authorization=f"Bearer {tokens['access_token']}")
        if status != HTTPStatus.OK or more.get("sub") != claims["sub"]:
            raise ProviderError(f"it answered {status} when it was asked for more of this user than is in the ID token")
        return {**more, **claims}

    async def _exchanged(self, code: str, attempt: Attempt) -> Mapping[str, Any]:
        known, client = await self._discovered(), self._client
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": client.redirect_uri,
            "code_verifier": attempt.verifier,
        }
        if known.in_form:
            form |= {"client_id": client.id, "client_secret": client.secret}
            status, answer = await fetch(known.token, self._tls, form=form)
        else:
            header = basic_header(quote_plus(client.id), quote_plus(client.secret))
            status, answer = await fetch(known.token, self._tls, form=form, authorization=header)
        if status == HTTPStatus.BAD_REQUEST and answer.get("error") == "invalid_grant":
            raise AttemptError(f"the provider takes its own answer no more ({_said(answer)})")
        if status != HTTPStatus.OK:
            raise ProviderError(f"it answered {status} when it was shown its own answer ({_said(answer)})")
        return answer

    async def _checked(self, id_token: str, attempt: Attempt) -> Mapping[str, Any]:
        expected = Expected(self._client.issuer, self._client.id, attempt.nonce)
        if self._keys is not None:
            try:
                return check(id_token, self._keys, expected, self._clock())
            except KeyNotKnownError:  # it may have changed its key since
                pass
        self._keys = await self._published()
        return check(id_token, self._keys, expected, self._clock())

    async def _published(self) -> KeySet:
        known = await self._discovered()
        status, answer = await fetch(known.keys, self._tls)
        try:
            return KeySet.import_key_set(answer)  # type: ignore[arg-type]  # it says what is wrong with it
        except (JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProviderError(f"what it answered ({status}) at {known.keys} are no keys") from error

    async def _discovered(self) -> Known:
        now_s = asyncio.get_running_loop().time()
        if self._known is None or now_s >= self._until_s:
            where = f"{self._client.issuer.rstrip('/')}/.well-known/openid-configuration"
            status, answer = await fetch(where, self._tls)
            if status != HTTPStatus.OK:
                raise ProviderError(f"it answered {status} at {where}")
            self._known = read_discovered(answer, self._client.issuer)
            self._keys, self._until_s = None, now_s + _KEPT_S
        return self._known


def read_discovered(answer: Mapping[str, Any], issuer: str) -> Known:
    """What is used of what a provider says of itself. Raises `ProviderError`."""
    if answer.get("issuer") != issuer:
        raise ProviderError(
            f"it says that its issuer is {told(repr(answer.get('issuer')))}, and TIDEGATE_OIDC_ISSUER is {issuer!r}; "
            "the two have to be the same, letter by letter"
        )
    methods = answer.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    userinfo = answer.get("userinfo_endpoint")
    return Known(
        _endpoint(answer, "authorization_endpoint"),
        _endpoint(answer, "token_endpoint"),
        _endpoint(answer, "jwks_uri"),
        _endpoint(answer, "userinfo_endpoint") if userinfo is not None else None,
        "client_secret_basic" not in methods,
    )


def _endpoint(answer: Mapping[str, Any], name: str) -> str:
    said = answer.get(name)
    if not isinstance(said, str) or not is_safe(said):
        raise ProviderError(f"its {name} is {told(repr(said))}, which is no address with https://")
    return said


def _said(answer: Mapping[str, Any]) -> str:
    return told(f"{answer.get('error', 'without a reason')} {answer.get('error_description', '')}")
