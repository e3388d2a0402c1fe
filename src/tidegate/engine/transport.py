"""Calls to one engine over aiodocker: time limits, typed errors, and responses that are always released."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import aiodocker
import aiohttp
import structlog

from tidegate.engine.address import (
    Address,
    base_url,
    connector_for,
    explain_unreachable,
    parse_address,
    tls_context,
)
from tidegate.engine.errors import EngineError, EngineUnavailableError
from tidegate.engine.failures import UNREACHABLE, failure
from tidegate.engine.negotiate import negotiate, version_key

if TYPE_CHECKING:
    from tidegate.engine.model import EngineVersion

UNARY_S = 60.0
"""How long a call may take that does no work to speak of."""

WORK_S = 600.0
"""How long a call may take that copies, deletes or starts something."""

_CONNECT_S = 10.0
_log = structlog.get_logger(__name__)


class Transport:
    """One engine's API, spoken in one agreed version."""

    def __init__(self, address: Address) -> None:
        tls = None if address.local else tls_context()
        self.address = address
        self._secure = tls is not None
        self._session = aiohttp.ClientSession(connector=connector_for(address, tls))
        self._docker = aiodocker.Docker(
            url=base_url(address, secure=self._secure),
            connector=self._session.connector,
            session=self._session,
            api_version="v0.0",  # replaced once a version is agreed on; "auto" would adopt the engine's
        )
        self.version: EngineVersion | None = None

    @classmethod
    async def open(cls, docker_host: str | None, api_version: str | None) -> Self:
        """Connect and agree on a version. Raises `EngineUnavailableError`, `EngineVersionError`."""
        transport = cls(parse_address(docker_host))
        try:
            await transport._agree(api_version)
        except BaseException:
            await transport.close()
            raise
        return transport

    async def _agree(self, api_version: str | None) -> None:
        try:
            answer = await self.call("GET", "version", action="ask the engine's version", versioned=False)
        except EngineUnavailableError:
            raise
        except (EngineError, ValueError, LookupError, TypeError) as error:
            raise EngineUnavailableError(
                f"What answers at {self.address.text} is not a Docker engine, or it may not be asked "
                f"({str(error) or type(error).__name__}): check DOCKER_HOST"
            ) from error
        self.version = negotiate(answer, api_version)
        used = self.version.api_used
        if api_version and version_key(api_version) > version_key(used):
            _log.warning("DOCKER_API_VERSION is newer than what can be spoken", asked=api_version, spoken=used)
        self._docker.api_version = f"v{used}"

    async def close(self) -> None:
        """Close the connection."""
        await self._docker.close()
        await self._session.close()

    async def call(
        self,
        method: str,
        path: str,
        *,
        action: str,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        limit_s: float | None = UNARY_S,
        versioned: bool = True,
    ) -> Any:
        """One call and its JSON answer (None where it is empty). `action` reads after "Could not"."""
        async with self.stream(
            method, path, action=action, params=params, body=body, limit_s=limit_s, versioned=versioned
        ) as response:
            content = await response.read()
        try:
            return json.loads(content) if content else None
        except (ValueError, RecursionError) as error:
            raise EngineUnavailableError(
                f"Could not {action}: what answers at {self.address.text} does not speak JSON: check DOCKER_HOST"
            ) from error

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        action: str,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        limit_s: float | None = None,
        versioned: bool = True,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One call whose answer is read by the caller; without `limit_s` it may last for ever.

        `body` is sent as JSON, `content` as it is.
        """
        try:
            async with self._docker._query(  # noqa: SLF001 - aiodocker's own helper for calls it has no verb for
                path,
                method,
                params=_texts(params),
                data=content if body is None else json.dumps(body),
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=limit_s, sock_connect=_CONNECT_S),
                versioned_api=versioned,
            ) as response:
                try:
                    yield response
                finally:
                    response.close()
        except aiodocker.DockerError as error:
            raise self._refused(error, action) from error
        except TimeoutError as error:
            raise self._late(action, limit_s) from error
        except (aiohttp.ClientError, json.JSONDecodeError) as error:
            raise EngineUnavailableError(f"Could not {action}: the engine broke off ({error!r})") from error

    def _refused(self, error: aiodocker.DockerError, action: str) -> EngineError:
        if error.status == UNREACHABLE:
            return explain_unreachable(self.address, _reason(error), secure=self._secure)
        return failure(error.status, error.message, action)

    def _late(self, action: str, limit_s: float | None) -> EngineUnavailableError:
        after = _CONNECT_S if limit_s is None else limit_s
        return EngineUnavailableError(
            f"Could not {action}: the engine at {self.address.text} gave no answer in {after:.0f} s: "
            "look at the engine's log"
        )


def _texts(params: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Query parameters as the engine reads them: booleans as 1 and 0, filters as JSON."""
    if params is None:
        return None
    return {key: _text(value) for key, value in params.items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return value if isinstance(value, str) else json.dumps(value)


def _reason(error: aiodocker.DockerError) -> str:
    return error.message.partition("[")[2].removesuffix("]") or error.message
