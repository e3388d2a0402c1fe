"""What an image says of its release: source, revision, version and time, in OCI annotations and labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

PREFIX = "org.opencontainers.image."
SOURCE, REVISION, VERSION, CREATED = (PREFIX + name for name in ("source", "revision", "version", "created"))
REQUIRED = (SOURCE, REVISION, VERSION, CREATED)


@dataclass(frozen=True, slots=True)
class ImageSays:
    """One platform's image: by key, each value that an annotation or a label gives; `built` is when, by its config."""

    platform: str
    said: Mapping[str, frozenset[str]]
    built: datetime | None = None


def label_faults(images: Sequence[ImageSays], expected: Mapping[str, str]) -> tuple[str, ...]:
    """What is missing, contradicts itself or is not as `expected`, a clause each; nothing where all is well.

    Every image says all of REQUIRED, and the same as the others. A revision may be expected by its beginning.
    """
    return tuple(fault for key in REQUIRED for fault in _faults(key, images, expected.get(key)))


def agreed(images: Sequence[ImageSays]) -> dict[str, str]:
    """What images without faults say."""
    return {key: next(iter(images[0].said[key])) for key in REQUIRED}


def created_at(images: Sequence[ImageSays]) -> datetime | None:
    """When the release was made, as it says or, where it says nothing, as its configs do; the last of several."""
    said = [read_moment(text) for image in images for text in image.said.get(CREATED, ())]
    moments = [at for at in said if at is not None] or [image.built for image in images if image.built is not None]
    return max(moments, default=None)


def read_moment(text: str) -> datetime | None:
    """An RFC 3339 time; None for anything else, and for the zero time that reproducible builds write."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment if moment.year > 1 else None


def _faults(key: str, images: Sequence[ImageSays], expected: str | None) -> list[str]:
    silent = [image.platform for image in images if not any(image.said.get(key, ()))]
    if silent:
        return [f"{key} is missing for {', '.join(silent)}"]
    values = sorted({value for image in images for value in image.said[key]})
    if len(values) > 1:
        return [f"{key} is said to be {' and '.join(values)}"]
    (value,) = values
    if key == CREATED and read_moment(value) is None:
        return [f"{key} is {value}, which is no time such as 2026-11-29T12:00:00Z"]
    if expected is None or value == expected or (key == REVISION and value.startswith(expected)):
        return []
    return [f"{key} is {value}, and {expected} was given"]
