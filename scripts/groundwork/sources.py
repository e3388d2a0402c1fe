"""apt sources of another Debian release, derived from the machine's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Source:
    """One archive address and one suite that the machine takes packages from."""

    uri: str
    suite: str


def machine_sources(etc_apt: Path) -> list[Source]:
    """Every binary source in sources.list and sources.list.d, in either format; options are left out."""
    found: list[Source] = []
    for path in [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*"))]:
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".sources":
            found.extend(_stanzas(text))
        elif path.suffix == ".list":
            found.extend(_lines(text))
    return found


def derived(sources: list[Source], codename: str, wanted: str) -> list[Source]:
    """The archives that serve `codename` itself (not its security or updates suites), asked for `wanted`."""
    uris = dict.fromkeys(s.uri for s in sources if s.suite == codename)
    return [Source(uri, wanted) for uri in uris]


def _lines(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[[^\]]*\]\s*)?(\S+)\s+(\S+)", line)
        if match:
            yield Source(match[1], match[2])


def _stanzas(text: str) -> Iterator[Source]:
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", kept):
        fields = {m[1].lower(): m[2].split() for m in re.finditer(r"(?m)^(\S+):((?:.*)(?:\n[ \t].*)*)", stanza)}
        if "deb" not in fields.get("types", []) or fields.get("enabled") == ["no"]:
            continue
        for uri in fields.get("uris", []):
            for suite in fields.get("suites", []):
                yield Source(uri, suite)
