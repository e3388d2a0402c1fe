"""What several resources have in common, as it is sent and taken."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Path
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from tidegate.manager.people.names import NAME, NAME_TAKES

LARGEST_ID = 2**63 - 1
LABEL_NAME = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$"
DIGEST = r"^sha256:[0-9a-f]{64}$"
_FIRST_YEAR, _LAST_YEAR = 1970, 9000
MOMENT_TAKES = "a time with a time zone, such as 2026-12-20T18:00:00Z"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:?\d\d)")

Id = Annotated[int, Path(ge=1, le=LARGEST_ID, description="Its number.")]


class Body(BaseModel):
    """What a request holds. A field that is not known is refused, so that a misspelt one is not passed over."""

    model_config = ConfigDict(extra="forbid")


def _only_text(value: Any) -> Any:
    if not isinstance(value, str) or _MOMENT.fullmatch(value) is None:
        raise ValueError(f"it is not {MOMENT_TAKES}")
    return value


def _reckoned_with(value: datetime) -> datetime:
    if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        raise ValueError(f"its year is not between {_FIRST_YEAR} and {_LAST_YEAR}")
    return value.astimezone(UTC)


Moment = Annotated[AwareDatetime, BeforeValidator(_only_text), AfterValidator(_reckoned_with)]
"""A time that a request gives."""

TARGET_NAME = r"^[^\x00-\x1f]+$"
NO_NUL = r"^[^\x00]*$"
NAME_OF_RULE = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
LINE = r"^[^\x00-\x1f\x7f-\x9f]*$"
Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=NAME_OF_RULE)]
Line = Annotated[str, StringConstraints(max_length=1000, pattern=LINE)]
"""What is shown within a sentence."""
Reason = Annotated[str, StringConstraints(max_length=1000)]
LabelName = Annotated[str, StringConstraints(pattern=LABEL_NAME)]
LabelValue = Annotated[str, StringConstraints(max_length=256)]
Labels = Annotated[dict[LabelName, LabelValue], Field(max_length=64)]
Digest = Annotated[str, StringConstraints(pattern=DIGEST)]
TAKES = {
    LABEL_NAME: "a label's name: 1 to 63 letters, digits, and . _ / -, beginning with a letter or digit",
    NAME_OF_RULE: "a line of text without control characters, with no space at either end",
    LINE: "a line of text without control characters",
    TARGET_NAME: "a name without control characters",
    NO_NUL: "text without NUL characters",
    DIGEST: "a digest in full: sha256: and 64 hexadecimal digits",
    NAME: NAME_TAKES,
}
"""In words, for who is refused."""
Strict = Annotated[int, Field(strict=True, ge=1, le=LARGEST_ID)]
"""A number that a request's body gives."""


class Ref(BaseModel):
    """What something refers to."""

    id: int = Field(description="Its number.")
    name: str = Field(description="Its name.")


class Why(Body):
    """Why something is done."""

    reason: Reason = Field(default="", description="Why, for whoever reads the audit log.")
