"""The keys that the manager signs with."""

import contextlib
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tidegate.protocol.keys import InvalidKeyError, Key, load_key, make_key, public_text

_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)


class KeysError(Exception):
    """The file of the signing keys cannot be used; the message says which, why and what to do."""


@dataclass(frozen=True, slots=True)
class ManagerKeys:
    """The first signs; the others are those by which agents may still know the manager. `path`: their file."""

    all: tuple[Key, ...]
    path: Path = Path("signing.key")

    @property
    def signing(self) -> Key:
        """The key that signs."""
        return self.all[0]

    @property
    def public(self) -> str:
        """The public half of the key that signs."""
        return public_text(self.signing)

    def known_as(self, public: str) -> Key | None:
        """The key whose public half is this one."""
        return next((key for key in self.all if public_text(key) == public), None)


class KeyFile:
    """The keys in a file, read anew once it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at = self._changed_at()
        self._keys = read_keys(path)

    def __call__(self) -> ManagerKeys:
        """The keys. One that is unreadable meanwhile leaves those that are known."""
        changed_at = self._changed_at()
        if changed_at != self._read_at:
            with contextlib.suppress(KeysError):
                self._keys, self._read_at = read_keys(self._path), changed_at
        return self._keys

    def _changed_at(self) -> int:
        try:
            return self._path.stat().st_mtime_ns
        except OSError:
            return 0


def read_keys(path: Path) -> ManagerKeys:
    """The keys in this file: private keys in PEM, one after the other. Raises `KeysError`."""
    try:
        found = _PEM.findall(path.read_text())
        keys = tuple(load_key(pem) for pem in found)
    except (OSError, UnicodeDecodeError) as error:
        raise KeysError(f"the signing keys {path} cannot be read: {error}") from error
    except InvalidKeyError as error:
        raise KeysError(f"the signing keys {path} cannot be used: {error}; put the backup of them back") from error
    if not keys:
        raise KeysError(f"{path} has no signing key; put the backup of it back (agents trust no other)")
    return ManagerKeys(keys, path)


def check_keys(path: Path) -> None:
    """See that this file has a signing key; one is made where there is no file. Raises `KeysError`."""
    if not path.exists():
        with contextlib.suppress(FileExistsError):  # another replica has made it meanwhile
            make_key_file(path)
    read_keys(path)


def make_key_file(path: Path) -> None:
    """Write a new key, all of it or nothing. Raises `FileExistsError` where there is a file, else `KeysError`."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _partial(path, [make_key()]) as partial:
            path.hardlink_to(partial)
    except FileExistsError:
        raise
    except OSError as error:
        raise KeysError(f"the signing key {path} cannot be made: {error}") from error


def rotate(path: Path, *, new: str | None = None, keep: int = 3) -> ManagerKeys:
    """Put a new key (`new`: this one, a PEM) before the others, of which so many stay. Raises `KeysError`.

    Agents come to know it by a document that the key they know has signed, so that one has to stay until they have.
    """
    older = read_keys(path)
    pems = [new or make_key(), *_PEM.findall(path.read_text())[: min(keep, len(older.all))]]
    try:
        with _partial(path, pems) as partial:
            partial.rename(path)
    except OSError as error:
        raise KeysError(f"the signing keys {path} cannot be replaced: {error}") from error
    return read_keys(path)


@contextlib.contextmanager
def _partial(path: Path, pems: Sequence[str]) -> Iterator[Path]:
    """A file beside `path`, for its owner alone, with these keys on disk. It is to be given that name; else it goes."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.writelines(f"{pem.strip()}\n" for pem in pems)
            file.flush()
            os.fsync(file.fileno())
        yield partial
        _sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Have its entries on disk: an agent may know the new key before the power fails."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
