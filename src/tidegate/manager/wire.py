"""The server's side of one connection: how much a request may be before it is one, and how long that may take.

Uvicorn's own takes heads, and what is between the chunks of a body, of any size and in any time; what it cannot read it
answers in plain text.
"""

import asyncio
import json
from http import HTTPStatus
from typing import Any, Final

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tidegate.manager.api.problems import BAD_REQUEST, MEDIA_TYPE, Problem, document

_log = structlog.get_logger(__name__)
MOST_HEAD: Final = 64 * 1024
"""Bytes, of a request's line and headers; as many may come between two pieces of a body."""
HEAD_S: Final = 30.0
_MAPPED: Final = "::ffff:"
_NOT_HTTP = Problem(BAD_REQUEST, "bad-request", "That is no HTTP request that can be read; it takes HTTP/1.1.")
_HEAD_TOO_LARGE = Problem(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "head-too-large",
    f"The request's line and headers are larger than {MOST_HEAD} bytes, which is the most that is taken.",
)


class _HeadTooLargeError(Exception):
    """A head has come that is larger than is taken."""


class Connection(HttpToolsProtocol):
    """One connection, for `uvicorn.Config(http=...)`."""

    _beside_body = 0
    _head_too_large = False
    _head_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """The first head is due."""
        super().connection_made(transport)
        if self.client is not None:
            self.client = unmapped(self.client[0]), self.client[1]
        self._head_is_due(HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is due any more."""
        self._nothing_is_due()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A part of a request, or of several."""
        self._unset_keepalive_if_required()
        self._beside_body += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # nothing is upgraded to: it is answered as any other request
        except httptools.HttpParserError:
            self._refuse(_HEAD_TOO_LARGE if self._head_too_large else _NOT_HTTP)
            return
        if self._beside_body > MOST_HEAD:
            self._refuse(_HEAD_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """The head is whole. Raises `_HeadTooLargeError`, of which the parser makes an error of its own."""
        if self._head_size() > MOST_HEAD:
            self._head_too_large = True
            raise _HeadTooLargeError
        self._beside_body = 0
        self._nothing_is_due()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._beside_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._beside_body = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The next head is due, unless it is here already."""
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self._head_is_due(self.timeout_keep_alive + HEAD_S)

    def _head_size(self) -> int:
        """As it is written with one blank where there have to be some."""
        line = len(self.parser.get_method()) + len(self.url) + len(b"  HTTP/1.1\r\n")
        return line + sum(len(name) + len(value) + len(b": \r\n") for name, value in self.headers) + len(b"\r\n")

    def _head_is_due(self, within_s: float) -> None:
        self._nothing_is_due()
        self._head_due = self.loop.call_later(within_s, self.timeout_keep_alive_handler)

    def _nothing_is_due(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _refuse(self, problem: Problem) -> None:
        _log.info("what came is no request", source=self.client[0] if self.client else "", reason=problem.code)
        self.transport.write(_answer(problem))
        self.transport.close()


def unmapped(address: str) -> str:
    """An IPv4 address as such: a socket for both kinds tells it as ::ffff:192.0.2.1, which is in no IPv4 network."""
    return address.removeprefix(_MAPPED) if address.startswith(_MAPPED) and "." in address else address


def _answer(problem: Problem) -> bytes:
    body = json.dumps(document(problem)).encode()
    head: dict[str, Any] = {"content-type": MEDIA_TYPE, "content-length": len(body), "cache-control": "no-store"}
    head |= {"x-content-type-options": "nosniff", "connection": "close"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"HTTP/1.1 {problem.status.value} {problem.status.phrase}\r\n{lines}\r\n".encode() + body
