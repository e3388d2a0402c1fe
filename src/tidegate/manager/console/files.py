"""The console's own files (style, scripts, pictures): under addresses that have their content's hash, kept for ever."""

import gzip
import hashlib
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
PREFIX = "/static"


@dataclass(frozen=True, slots=True)
class File:
    """One of them; `packed` is its content in fewer bytes."""

    name: str
    media_type: str
    content: bytes = field(repr=False)
    packed: bytes = field(repr=False)
    mark: str


class Files:
    """All of them, read once."""

    def __init__(self) -> None:
        folder = resources.files("tidegate.manager.console") / "static"
        found = [_read(one.name, one.read_bytes()) for one in folder.iterdir() if one.name.rpartition(".")[2] in _TYPES]
        self._by_name = {one.name: one for one in found}

    def address(self, name: str) -> str:
        """Where a file is had. Raises `KeyError`."""
        return f"{PREFIX}/{self._by_name[name].mark}/{name}"

    def find(self, mark: str, name: str) -> File | None:
        """The file at an address; None: there is none, or it is another by now."""
        found = self._by_name.get(name)
        return found if found is not None and found.mark == mark else None

    @property
    def names(self) -> list[str]:
        """What there is."""
        return sorted(self._by_name)


@cache
def files() -> Files:
    """The files of this installation."""
    return Files()


def _read(name: str, content: bytes) -> File:
    mark = hashlib.sha256(content).hexdigest()[:16]
    return File(name, _TYPES[name.rpartition(".")[2]], content, gzip.compress(content, 9, mtime=0), mark)
