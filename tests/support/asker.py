"""Somebody with a token of the manager's, over HTTP: quicker than the command line."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass
class Asker:
    """Asks the manager at `url`."""

    url: str
    token: str

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"} | headers
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api/v1{path}", data, sent, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def items(self, path: str) -> list[dict[str, Any]]:
        """Every one of a short list."""
        return list(self("GET", path)["items"])

    def set_rules(self, channel: int, rules: Mapping[str, Any]) -> None:
        """Give a channel its rules."""
        asked = urllib.request.Request(
            f"{self.url}/api/v1/policies/{channel}", headers={"Authorization": f"Bearer {self.token}"}
        )
        with urllib.request.urlopen(asked, timeout=30) as answer:
            tag = answer.headers["ETag"]
        self("PUT", f"/policies/{channel}", rules, **{"If-Match": tag})

    def rollout(self, digest: str) -> dict[str, Any]:
        """The newest one of a release; nothing before there is one."""
        return next((one for one in self.items("/rollouts") if one["digest"] == digest), {})
