"""Which manifest of an index this host runs, by the rules of containerd."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Descriptor = Mapping[str, Any]
"""One entry of an index: mediaType, digest, size, platform, annotations."""

_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armv7l": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv6l": ("arm", "v6"),
    "i386": ("386", ""),
    "i486": ("386", ""),
    "i586": ("386", ""),
    "i686": ("386", ""),
}
# What an absent variant means, and what is written when it means that.
_DEFAULT_VARIANT = {"arm": "v7", "arm64": "v8", "amd64": "v1"}
_IMPLIED = {("arm64", "v8"), ("amd64", "v1")}


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system and a processor, in the words of images: linux, amd64, empty variant."""

    os: str
    architecture: str
    variant: str = ""

    def normalized(self) -> "Platform":
        """The one spelling of it: `x86_64` is amd64, arm64's v8 is not written, arm without variant is v7."""
        os = {"macos": "darwin"}.get(self.os.lower(), self.os.lower())
        architecture, implied = _ARCHITECTURES.get(self.architecture.lower(), (self.architecture.lower(), ""))
        variant = _with_v(self.variant.lower()) or implied or _DEFAULT_VARIANT.get(architecture, "")
        return Platform(os, architecture, "" if (architecture, variant) in _IMPLIED else variant)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def _with_v(variant: str) -> str:
    return f"v{variant}" if variant.isdigit() else variant


def runnable(platform: Platform) -> list[Platform]:
    """What a host of this platform can run, the best first: itself, then what its processor also understands."""
    host = platform.normalized()
    pairs = [(host.architecture, host.variant)]
    level = _level(host)
    if host.architecture == "arm64":
        pairs += [("arm64", f"v{number}") for number in range(level - 1, 8, -1)]
        pairs += [("arm64", "")] if level > 8 else []  # noqa: PLR2004  (arm64 begins at v8)
        pairs += [("arm", f"v{number}") for number in (8, 7, 6, 5)]
    elif host.architecture == "arm":
        pairs += [("arm", f"v{number}") for number in range(level - 1, 4, -1)]
    elif host.architecture == "amd64":
        pairs += [("amd64", f"v{number}") for number in range(level - 1, 1, -1)]
        pairs += [("amd64", ""), ("386", "")]
    return [Platform(host.os, *pair) for pair in dict.fromkeys(pairs)]


def _level(platform: Platform) -> int:
    digits = (platform.variant or _DEFAULT_VARIANT.get(platform.architecture, "")).removeprefix("v")
    return int(digits) if digits.isdigit() else 0


def accepts(host: Platform, image: Platform) -> bool:
    """Whether the host runs an image of that platform."""
    return image.normalized() in runnable(host)


def choose(descriptors: Sequence[Descriptor], host: Platform) -> Descriptor | None:
    """The entry this host runs best, or None. Entries that say no platform come last; attestations never."""
    images = [entry for entry in descriptors if not is_attestation(entry)]
    for wanted in runnable(host):
        for entry in images:
            if platform_of(entry) == wanted:
                return entry
    return next((entry for entry in images if platform_of(entry) is None), None)


def is_attestation(entry: Descriptor) -> bool:
    """Whether the entry is not an image but what a builder says about one."""
    annotations = entry.get("annotations")
    if isinstance(annotations, Mapping) and "vnd.docker.reference.type" in annotations:
        return True
    platform = platform_of(entry)
    return platform is not None and (platform.os, platform.architecture) == ("unknown", "unknown")


def platform_of(entry: Descriptor) -> Platform | None:
    """The platform an entry says it is for."""
    said = entry.get("platform")
    if not isinstance(said, Mapping) or not said.get("architecture"):
        return None
    names = (str(said.get("os") or ""), str(said["architecture"]), str(said.get("variant") or ""))
    return Platform(*names).normalized()


def platforms_of(descriptors: Sequence[Descriptor]) -> list[str]:
    """Every platform of an index, for people."""
    images = (platform_of(entry) for entry in descriptors if not is_attestation(entry))
    return sorted({str(platform) for platform in images if platform})
