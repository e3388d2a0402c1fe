"""A token service as big registries have one; real registries believe its signature."""

import base64
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import web
from tests.support.registry_server import PASSWORD, USER, TokenAuth
from tests.support.registry_tls import der, self_signed, sign
from tests.support.web_server import WebServer

from tidegate.registry.credential import basic_header

SERVICE, ISSUER = "test registry", "test issuer"
REFRESH_TOKEN = "let-me-in-again"


@dataclass
class TokenService:
    """Issues tokens to USER, to the bearer of REFRESH_TOKEN and, where `anonymous`, to anybody.

    Its key is kept in `folder`, and made there the first time. `asked` counts requests by scope; `headers` and
    `forms` are what came. `answer`, if set, is sent instead.
    """

    folder: Path
    anonymous: bool = False
    expires_in: int = 300
    asked: Counter[str] = field(default_factory=Counter)
    headers: list[dict[str, str]] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    issued: dict[str, str] = field(default_factory=dict)
    answer: web.Response | None = None
    server: WebServer | None = None

    async def __aenter__(self) -> Self:
        if not (self.folder / "token.key").exists():
            self_signed(self.folder / "token.pem", self.folder / "token.key", "token signer")
        app = web.Application()
        app.router.add_route("*", "/token", self._token)
        self.server = WebServer(app)
        await self.server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.server is not None
        await self.server.close()

    @property
    def auth(self) -> TokenAuth:
        assert self.server is not None
        return TokenAuth(str(self.server.make_url("/token")), SERVICE, ISSUER, self.folder / "token.pem")

    def issue(self, scope: str) -> str:
        """A token for a scope such as `repository:team/app:pull,push`."""
        kind, name, actions = scope.split(":")
        now = int(time.time())
        access = [{"type": kind, "name": name, "actions": actions.split(",")}]
        claims = {"iss": ISSUER, "sub": USER, "aud": SERVICE, "exp": now + 300, "nbf": now - 10, "iat": now}
        chain = [base64.b64encode(der(self.folder / "token.pem")).decode()]
        head = _packed({"typ": "JWT", "alg": "RS256", "x5c": chain})
        body = _packed({**claims, "jti": str(len(self.issued)), "access": access})
        signature = sign(self.folder / "token.key", f"{head}.{body}".encode())
        token = f"{head}.{body}.{_unpadded(signature)}"
        self.issued[token] = name
        return token

    async def _token(self, request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        asked = {**request.query, **form}
        self.asked[asked["scope"]] += 1
        self.headers.append(dict(request.headers))
        self.forms.append(form)
        if self.answer is not None:
            return web.Response(status=self.answer.status, headers=self.answer.headers, body=self.answer.body)
        if asked["service"] != SERVICE or not self._knows(request, form):
            return web.json_response({"details": "incorrect username or password"}, status=401)
        return web.json_response({"token": self.issue(asked["scope"]), "expires_in": self.expires_in})

    def _knows(self, request: web.Request, form: dict[str, str]) -> bool:
        if form:
            return form["grant_type"] == "refresh_token" and form["refresh_token"] == REFRESH_TOKEN
        shown = request.headers.get("Authorization")
        return self.anonymous if shown is None else shown == basic_header(USER, PASSWORD)


def _packed(document: dict[str, Any]) -> str:
    return _unpadded(json.dumps(document).encode())


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
