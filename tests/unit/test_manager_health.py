"""A container's health check asks the manager where its own settings say that it listens."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tidegate.cli.manager.health import trouble


@contextmanager
def answering(status: int) -> Iterator[int]:
    """Something on loopback that answers /healthz; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("listen", ["127.0.0.1:{}", ":{}", "0.0.0.0:{}"])
def test_a_manager_that_answers_is_well(listen: str) -> None:
    with answering(200) as port:
        assert trouble({"TIDEGATE_LISTEN": listen.format(port)}) == ""


def test_one_that_answers_otherwise_or_not_at_all_is_not() -> None:
    with answering(503) as port:
        assert "answers 503" in trouble({"TIDEGATE_LISTEN": f"127.0.0.1:{port}"})
    assert "does not answer" in trouble({"TIDEGATE_LISTEN": f"127.0.0.1:{port}"})


def test_one_with_a_certificate_is_asked_by_tls() -> None:
    with answering(200) as port:
        assert "does not answer" in trouble({"TIDEGATE_LISTEN": f":{port}", "TIDEGATE_TLS_CERT": "/tls/chain.pem"})
