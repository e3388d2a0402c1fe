"""What changes from one image to the next, for people to read."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.domain.masking import MASK, SECRET_NAME, USER_INFO
from tidegate.domain.recreate_config import image_config

Document = Mapping[str, Any]

_NAMED_LABELS = {
    "org.opencontainers.image.version": "version",
    "org.opencontainers.image.revision": "revision",
    "org.opencontainers.image.source": "source",
}
_NANOSECONDS = 10**9


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs; an empty side means that it is not there."""

    field: str
    old: str
    new: str


def image_diff(old_image: Document, new_image: Document) -> list[Change]:
    """What differs between two inspected images. Values of variables with secret-looking names are masked."""
    old, new = _facts(old_image), _facts(new_image)
    return [
        Change(name, _shown(name, old.get(name, "")), _shown(name, new.get(name, "")))
        for name in dict.fromkeys([*old, *new])
        if old.get(name, "") != new.get(name, "")
    ]


def _facts(image: Document) -> dict[str, str]:
    config = image_config(image)
    return {
        "created": str(image.get("Created") or ""),
        "size": str(image.get("Size") or ""),
        "platform": "/".join(str(image[key]) for key in ("Os", "Architecture", "Variant") if image.get(key)),
        **_labels(config.get("Labels") or {}),
        "entrypoint": _command(config.get("Entrypoint")),
        "cmd": _command(config.get("Cmd")),
        "user": str(config.get("User") or ""),
        "working directory": str(config.get("WorkingDir") or ""),
        "stop signal": str(config.get("StopSignal") or ""),
        "ports": " ".join(sorted(config.get("ExposedPorts") or ())),
        "volumes": " ".join(sorted(config.get("Volumes") or ())),
        "health check": _healthcheck(config.get("Healthcheck") or {}),
        **{f"env {name}": value for name, value in _variables(config).items()},
    }


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    return {_NAMED_LABELS.get(key, f"label {key}"): value for key, value in labels.items()}


def _variables(config: Document) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in config.get("Env") or ())
    return {name: value for name, _, value in pairs}


def _command(value: Any) -> str:
    return value if isinstance(value, str) else shlex.join(value or ())


def _healthcheck(check: Document) -> str:
    times = [
        f"{key.lower()} {check[key] / _NANOSECONDS:g}s"
        for key in ("Interval", "Timeout", "StartPeriod", "StartInterval")
        if check.get(key)
    ]
    retries = [f"retries {check['Retries']}"] if check.get("Retries") else []
    test = [_command(check["Test"])] if check.get("Test") else []
    return ", ".join(test + times + retries)


def _shown(name: str, value: str) -> str:
    if name.startswith("env ") and value and SECRET_NAME.search(name):
        return MASK
    return USER_INFO.sub(MASK, value)
