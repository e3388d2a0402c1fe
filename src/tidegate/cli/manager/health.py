"""`python -m tidegate.cli.manager.health`: whether the manager of this environment answers; for a container's check.

Standard library only: it is run every few seconds.
"""

import http.client
import os
import ssl
import sys
from collections.abc import Mapping

_DEFAULT = "127.0.0.1:8080"
_LIMIT_S = 4.0
_OK = 200
_ANY = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where it listens, not where we do


def trouble(environ: Mapping[str, str]) -> str:
    """Why the manager that these variables set up is not well; empty: it is."""
    listen = environ.get("TIDEGATE_LISTEN", "").strip() or _DEFAULT
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    try:
        connection = _connection(
            _ANY.get(host, host), int(port), tls=bool(environ.get("TIDEGATE_TLS_CERT", "").strip())
        )
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"The manager does not answer at {listen}: {error}."
    return "" if status == _OK else f"The manager answers {status} at {listen}."


def _connection(host: str, port: int, *, tls: bool) -> http.client.HTTPConnection:
    if not tls:
        return http.client.HTTPConnection(host, port, timeout=_LIMIT_S)
    context = ssl.create_default_context()
    context.check_hostname = False  # its certificate is for the name that others use
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=_LIMIT_S, context=context)


def main() -> int:
    """Say what is wrong, if anything; the exit code."""
    said = trouble(os.environ)
    if said:
        print(said, file=sys.stderr)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
