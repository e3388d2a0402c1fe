"""What the README and the pages of docs/ say, in pieces that can be checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^]\n]+\]\(([^)\s]+)\)")
_SPAN = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block; `page` is the file's name, for messages."""

    page: str
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text.splitlines()[0]}"


def blocks(*kinds: str) -> list[Block]:
    """The fenced blocks of these kinds (`sh`, `yaml`, ...) on all pages, without their indent."""
    return [block for page in PAGES for block in _blocks(page) if block.kind in kinds]


def _blocks(page: Path) -> list[Block]:
    found = _FENCE.findall(page.read_text(encoding="utf-8"))
    return [Block(page.name, kind, re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)) for indent, kind, text in found]


def commands() -> list[str]:
    """Every line of the shell blocks, and every span of code that begins with `tidegate agent` or `make`."""
    lines = [line.strip() for block in blocks("sh") for line in block.text.splitlines()]
    spans = [
        span for page in PAGES for span in spans_of(page) if re.match(r"(tidegate agent|make|docker compose) ", span)
    ]
    return sorted({line for line in [*lines, *spans] if line and not line.startswith("#")})


def spans_of(page: Path) -> list[str]:
    """What stands between single backticks, outside of fenced blocks."""
    return _SPAN.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))


def links(page: Path) -> list[str]:
    """Where a page's relative links lead."""
    return [link for link in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]


def words(pattern: str) -> set[tuple[str, str]]:
    """(page, match) for everything on the pages, blocks included, that matches a regular expression."""
    return {(page.name, match) for page in PAGES for match in re.findall(pattern, page.read_text(encoding="utf-8"))}
