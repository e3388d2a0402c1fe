"""Pushing to a registry without an engine: blobs and manifests over HTTP."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


def digest_of(content: bytes) -> str:
    """Return the digest by which a registry knows these bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class Registry:
    """A running registry: where it is, and what one needs to push to it.

    `address` ("HOST:PORT") is how this machine reaches it, and the engine too unless `engine_address` is set.
    """

    address: str
    user: str = ""
    password: str = ""
    ca: Path | None = None
    engine_address: str = ""

    def __str__(self) -> str:
        return self.address

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Ask once: status, headers (lower case) and body. `path` may be a whole URL of this registry."""
        parts = urlsplit(urljoin(f"http://{self.address}", path))
        with self._connection() as connection:
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            connection.request(method, target, body, self._headers(headers or {}))
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()

    def put_blob(self, repository: str, content: bytes) -> str:
        """Upload a blob unless it is there; its digest."""
        digest = digest_of(content)
        if self.request("HEAD", f"/v2/{repository}/blobs/{digest}")[0] == http.HTTPStatus.OK:
            return digest
        _, headers, _ = self._expect(http.HTTPStatus.ACCEPTED, "POST", f"/v2/{repository}/blobs/uploads/")
        location = headers["location"]
        joined = f"{location}{'&' if '?' in location else '?'}digest={digest}"
        self._expect(http.HTTPStatus.CREATED, "PUT", joined, content, {"Content-Type": "application/octet-stream"})
        return digest

    def put_manifest(self, repository: str, reference: str, manifest: Mapping[str, Any]) -> str:
        """Put a manifest or index under a tag; its digest."""
        content = json.dumps(manifest).encode()
        kind = {"Content-Type": str(manifest["mediaType"])}
        self._expect(http.HTTPStatus.CREATED, "PUT", f"/v2/{repository}/manifests/{reference}", content, kind)
        return digest_of(content)

    def _expect(
        self, status: int, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        answer = self.request(method, path, body, headers)
        if answer[0] != status:
            raise AssertionError(f"{method} {path} on {self.address}: {answer[0]} {answer[2]!r}, expected {status}")
        return answer

    @contextmanager
    def _connection(self) -> Iterator[http.client.HTTPConnection]:
        if self.ca:
            trust = ssl.create_default_context(cafile=str(self.ca))
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                self.address, context=trust, timeout=20
            )
        else:
            connection = http.client.HTTPConnection(self.address, timeout=20)
        try:
            yield connection
        finally:
            connection.close()

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        if not self.user:
            return dict(headers)
        token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {token}", **headers}
