"""What commands print: tables and sentences for people, the manager's own documents for programs."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tidegate.cli.tables import print_table, safe, short_time, updater_words

__all__ = ["complain", "labels_text", "print_facts", "print_json", "print_rows", "say", "short_time", "updater_words"]


def print_json(document: Any) -> None:
    """A document as the manager gave it."""
    print(json.dumps(document, indent=2))


def print_rows(head: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """A table; the last column is prose."""
    print_table(head, rows, no_color=None, empty=empty)


def print_facts(facts: Iterable[tuple[str, Any]]) -> None:
    """Names and values below each other; what has no value is left out."""
    shown = [(name, safe(str(value))) for name, value in facts if value not in ("", None)]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        print(f"{name:<{width}}  {value}")


def say(text: str) -> None:
    """A sentence on the output."""
    for line in text.splitlines():
        print(safe(line))


def complain(text: str) -> None:
    """A sentence on the error output."""
    for line in text.splitlines():
        print(f"tidegate: {safe(line)}", file=sys.stderr)


def labels_text(labels: Mapping[str, str]) -> str:
    """Labels as they are written on a command line."""
    return " ".join(f"{name}={value}" for name, value in sorted(labels.items()))
