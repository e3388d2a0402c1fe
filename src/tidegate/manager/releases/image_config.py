"""An image's config as far as it is kept and compared. It comes from outside: nothing in it is as it should be."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from tidegate.manager.releases.sealed import Seal, kept
from tidegate.registry.model import parse_time, text_map
from tidegate.registry.platform import Platform

_MOST = 300
"""Of variables, labels, ports and arguments; an image has a dozen."""
_LARGEST = 2**53
"""Bytes, nanoseconds: what every reader of JSON counts without loss."""
_TIMES = ("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")

Document = dict[str, Any]


def config_document(config: Mapping[str, Any], *, size: int | None, seal: Seal) -> Document:
    """What is kept of an image config: Docker's own names, and `created` (RFC 3339) and `size` (bytes, packed)."""
    inner = config.get("config")
    given: Mapping[str, Any] = inner if isinstance(inner, Mapping) else {}
    created = parse_time(config.get("created"))
    document = {
        "Env": [seal.variable(entry) for entry in _texts(given.get("Env"))],
        "Entrypoint": _command(given.get("Entrypoint"), seal),
        "Cmd": _command(given.get("Cmd"), seal),
        "User": _text(given.get("User"), seal),
        "WorkingDir": _text(given.get("WorkingDir"), seal),
        "StopSignal": _text(given.get("StopSignal"), seal),
        "ExposedPorts": _names(given.get("ExposedPorts")),
        "Volumes": _names(given.get("Volumes")),
        "Healthcheck": _healthcheck(given.get("Healthcheck"), seal),
        "Labels": labels_document(text_map(given.get("Labels")), seal),
        "created": created.isoformat() if created else "",
        "size": size,
    }
    return {key: value for key, value in document.items() if value not in (None, "", [], {})}


def labels_document(labels: Mapping[str, str], seal: Seal) -> dict[str, str]:
    """Labels as they are kept."""
    return {kept(key): seal.text(value) for key, value in islice(sorted(labels.items()), _MOST)}


def whole(value: Any) -> int | None:
    """A count that can be kept; None for what is none."""
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST
    return value if good else None


def packed_size(manifest: Mapping[str, Any]) -> int | None:
    """The bytes of all layers of a manifest, as they are sent; None where it does not say so."""
    layers = manifest.get("layers")
    if not isinstance(layers, list):
        return None
    sizes = [whole(layer.get("size")) for layer in layers if isinstance(layer, Mapping)]
    known = [size for size in sizes if size is not None]
    return whole(sum(known)) if known and len(known) == len(layers) else None


def inspected(document: Mapping[str, Any], platform: str) -> Document:
    """What is kept, as an engine would tell it of the image."""
    parts = dict(zip(("Os", "Architecture", "Variant"), platform.split("/"), strict=False))
    return {"Config": document, "Created": document.get("created"), "Size": document.get("size"), **parts}


def platform_named(name: str) -> Platform | None:
    """The platform that `linux/arm/v7` names; None where that is none."""
    parts = name.split("/")
    return Platform(*parts) if len(parts) in {2, 3} and all(parts) else None


def _texts(value: Any) -> Iterable[str]:
    if not isinstance(value, list):
        return []
    return islice((one for one in value if isinstance(one, str)), _MOST)


def _text(value: Any, seal: Seal) -> str:
    return seal.text(value) if isinstance(value, str) else ""


def _command(value: Any, seal: Seal) -> list[str]:
    """Docker takes a list; some builders wrote a text."""
    return [seal.text(one) for one in _texts([value] if isinstance(value, str) else value)]


def _names(value: Any) -> dict[str, dict[str, str]]:
    """Ports and volumes are the keys of an object."""
    return {kept(str(name)): {} for name in islice(sorted(value), _MOST)} if isinstance(value, Mapping) else {}


def _healthcheck(value: Any, seal: Seal) -> Document:
    if not isinstance(value, Mapping):
        return {}
    times = {key: whole(value.get(key)) for key in _TIMES}
    return {"Test": _command(value.get("Test"), seal)} | {key: count for key, count in times.items() if count}
