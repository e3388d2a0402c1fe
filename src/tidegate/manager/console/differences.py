"""What an act has changed, field by field, as the audit log has it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Difference:
    """One field; None: there was nothing in it."""

    field: str
    before: str | None
    after: str | None


def differences(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[Difference]:
    """What differs; of what was made or is gone, everything."""
    old, new = dict(_flat(before or {})), dict(_flat(after or {}))
    found = (Difference(name, old.get(name), new.get(name)) for name in {**old, **new})
    return [one for one in found if one.before != one.after]


def _flat(document: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    """Names with dots, and values as text; what is empty is left out."""
    for name, value in document.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{within}{name}.")
        elif text := _text(value):
            yield f"{within}{name}", text


def _text(value: Any) -> str:
    if value is None or value == []:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
