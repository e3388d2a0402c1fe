"""Who the agent is to its manager: its key, and the id that it was given. Files are 0600, as all of the state is."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tidegate.agent.store.files import StateError, make_directory, telling, write
from tidegate.protocol.keys import Key, load_key, make_key

_IDENTITY, _ENROLLING = "identity.json", "enrolling.json"


@dataclass(frozen=True, slots=True)
class Identity:
    """An agent that has enrolled. `manager_key` is the one it was given then; `token_hash` tells the token apart."""

    agent: str
    name: str
    key: str = field(repr=False)
    manager_key: str
    token_hash: str = field(default="", repr=False)

    def loaded(self) -> Key:
        """The private key. Raises `InvalidKeyError`."""
        return load_key(self.key)


class Identities:
    """`identity.json`, and while the agent enrols `enrolling.json`, so that a lost answer is asked for again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self) -> Identity | None:
        """Who the agent is; None before it has enrolled. Raises `StateError`."""
        found = self._read(_IDENTITY)
        try:
            return Identity(**found) if found else None
        except TypeError:
            raise StateError(self._damaged(_IDENTITY)) from None

    def key_for(self, token: str) -> str:
        """The private key to enrol with by this token: the same one however often it is asked. Raises `StateError`."""
        found = self._read(_ENROLLING)
        if found.get("token_hash") == hash_of(token) and isinstance(found.get("key"), str):
            return str(found["key"])
        key = make_key()
        self._write(_ENROLLING, {"token_hash": hash_of(token), "key": key})
        return key

    def keep(self, identity: Identity) -> None:
        """The agent has enrolled. Raises `StateError`."""
        self._write(_IDENTITY, asdict(identity))
        path = self._directory / _ENROLLING
        with telling(path):
            path.unlink(missing_ok=True)

    def _read(self, name: str) -> Mapping[str, Any]:
        path = self._directory / name
        with telling(path):
            try:
                text = path.read_text()
            except FileNotFoundError:
                return {}
        try:
            found = json.loads(text)
        except ValueError:
            raise StateError(self._damaged(name)) from None
        return found if isinstance(found, dict) else {}

    def _write(self, name: str, value: Mapping[str, Any]) -> None:
        make_directory(self._directory)
        write(self._directory / name, json.dumps(value, indent=2).encode() + b"\n")

    def _damaged(self, name: str) -> str:
        return f"{self._directory / name} is damaged. Remove {self._directory}, and enrol the agent with a new token."


def hash_of(token: str) -> str:
    """Tells whether a token is the one that was used, without keeping it."""
    return hashlib.sha256(token.encode()).hexdigest()
