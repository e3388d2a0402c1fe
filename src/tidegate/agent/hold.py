"""What a rollback by hand leaves in the quarantine, so that the next look does not undo it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Hold:
    """Once the rollback is committed, `digests` are held, and the release that was asked for is not any more."""

    release: str
    digests: tuple[str, ...]

    @classmethod
    def on(cls, digests: Sequence[str], release: str) -> "Hold":
        """Hold every one of them but the release itself."""
        return cls(release, tuple(dict.fromkeys(digest for digest in digests if digest != release)))

    def record(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"release": self.release, "digests": list(self.digests)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Hold":
        """The reverse of `record`."""
        return cls(record["release"], tuple(record["digests"]))
