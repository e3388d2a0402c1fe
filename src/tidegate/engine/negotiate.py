"""Which API version to speak: the smaller of what the engine offers and what was tested."""

import re
from collections.abc import Mapping
from typing import Any

from tidegate.engine.errors import EngineVersionError
from tidegate.engine.model import EngineVersion

OLDEST = "1.41"
"""The oldest API spoken with (Docker 20.10)."""

NEWEST = "1.45"
"""The newest API tested against (Docker 26.1)."""

_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})")


def version_key(text: str) -> tuple[int, int]:
    """`1.41` as a pair that compares as versions do. Raises `ValueError`."""
    match = _VERSION.fullmatch(text)
    if match is None:
        raise ValueError(f"not an API version: {text!r}")
    return int(match[1]), int(match[2])


def negotiate(answer: Any, pinned: str | None = None) -> EngineVersion:
    """Agree on an API version from the engine's answer to `/version`.

    `pinned`, from DOCKER_API_VERSION, is the newest version that may be spoken. Raises `EngineVersionError`.
    """
    engine, api_max, api_min = _offered(answer)
    if version_key(api_max) < version_key(OLDEST):
        raise EngineVersionError(
            f"The engine is too old: Docker {engine} speaks API {api_max}, and {OLDEST} (Docker 20.10) "
            "is the least that is needed: upgrade the engine"
        )
    if version_key(api_min) > version_key(NEWEST):
        raise EngineVersionError(
            f"The engine is too new: Docker {engine} speaks API {api_min} and later, and this Tidegate "
            f"speaks {OLDEST} to {NEWEST}: update Tidegate"
        )
    used = _pinned(pinned, api_min, api_max) if pinned else min(api_max, NEWEST, key=version_key)
    return EngineVersion(
        engine=engine,
        api_max=api_max,
        api_min=api_min,
        api_used=used,
        os=str(answer.get("Os", "")),
        architecture=str(answer.get("Arch", "")),
    )


def _offered(answer: Any) -> tuple[str, str, str]:
    if not isinstance(answer, Mapping):
        raise EngineVersionError("What answers is not a Docker engine: it tells no version: check DOCKER_HOST")
    api_max = str(answer.get("ApiVersion", ""))
    api_min = str(answer.get("MinAPIVersion") or api_max)
    try:
        version_key(api_max)
        version_key(api_min)
    except ValueError as error:
        raise EngineVersionError(
            f"What answers is not a Docker engine: it offers API {api_max!r}: check DOCKER_HOST"
        ) from error
    return str(answer.get("Version", "of unknown version")), api_max, api_min


def _pinned(pinned: str, api_min: str, api_max: str) -> str:
    """What is asked for, or the newest below it that both sides speak."""
    low, high = max(api_min, OLDEST, key=version_key), min(api_max, NEWEST, key=version_key)
    try:
        used = min(pinned, high, key=version_key)
        fits = version_key(low) <= version_key(used)
    except ValueError:
        used, fits = pinned, False
    if not fits:
        raise EngineVersionError(
            f"DOCKER_API_VERSION={pinned} cannot be spoken with this engine: "
            f"remove the setting, or choose from {low} to {high}"
        )
    return used.removeprefix("v")
