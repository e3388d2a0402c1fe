"""What the server has the worker go by: what it goes by itself, whatever files and variables say by now."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from tidegate import __version__
from tidegate.manager.parts import Parts


class OrderError(Exception):
    """The worker cannot do it; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Order:
    """`bus` is the id of the bus of both. The last three are how logs look."""

    version: str
    bus: str
    database_url: str
    signing_key_file: str
    log_level: str
    log_format: str
    no_color: bool

    @classmethod
    def of(cls, parts: Parts) -> Self:
        """What the worker of these parts is to go by."""
        settings = parts.settings
        return cls(
            version=__version__,
            bus=parts.db.bus.id,
            database_url=settings.database_url,
            signing_key_file=str(Path(settings.signing_key_file).absolute()),
            log_level=settings.log_level,
            log_format=settings.log_format,
            no_color=settings.no_color,
        )

    def words(self) -> dict[str, Any]:
        """As they are said."""
        return asdict(self)

    @classmethod
    def read(cls, words: dict[str, Any]) -> Self:
        """The same heard. Raises `OrderError` where what is installed here is not what the server is."""
        if words.get("version") != __version__:
            raise OrderError(
                f"the server is of version {words.get('version')}, and what is installed by now is {__version__}: "
                f"start the server again"
            )
        return cls(**words)
