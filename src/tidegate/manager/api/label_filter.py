"""Lists filtered by labels: `label=NAME=VALUE`."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import ColumnElement

from tidegate.manager.api.models import LABEL_NAME
from tidegate.manager.api.problems import invalid


def has_labels(column: ColumnElement[Any], wanted: Iterable[str]) -> Iterator[ColumnElement[bool]]:
    """What holds of rows that have all of these labels. Raises `Problem`."""
    for number, text in enumerate(wanted):
        name, equals, value = text.partition("=")
        if not equals or re.fullmatch(LABEL_NAME, name) is None:
            raise invalid(f"query.label.{number}", f"{text!r} is not NAME=VALUE, such as ring=early")
        yield column[name].as_string() == value
