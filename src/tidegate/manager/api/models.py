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


class UpdaterOut(BaseModel):
    """What the Watchtower that updates in an agent's place counts."""

    scanned: int = Field(description="Containers that it looked at in its last scan.")
    updated: int = Field(description="Containers that it updated in it.")
    failed: int = Field(description="Containers that failed in it.")
    scans: int = Field(description="Its scans since it was started; 0: there was none yet.")


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
_TURNS = r"\u202a-\u202e\u2066-\u2069"
"""What has text read in another order than it is written in."""
_CONTROL = rf"\x00-\x1f\x7f-\x9f{_TURNS}"
_UNSEEN = rf"\s\u00ad\u200b-\u200f\u2060-\u2064\ufeff{_CONTROL}"
NO_NUL = rf"^[^\x00{_TURNS}]*$"
NAME_OF_RULE = rf"^[^{_UNSEEN}]([^{_CONTROL}]*[^{_UNSEEN}])?$"
LINE = rf"^[^{_CONTROL}]*$"
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
    NAME_OF_RULE: "a line of text without control characters, with no space and nothing invisible at either end",
    LINE: "a line of text without control characters, those for the direction of text among them",
    TARGET_NAME: "a name without control characters",
    NO_NUL: "text without NUL characters and controls of its direction",
    DIGEST: "a digest in full: sha256: and 64 hexadecimal digits",
    NAME: NAME_TAKES,
}
"""In words, for who is refused."""
Strict = Annotated[int, Field(strict=True, ge=1, le=LARGEST_ID)]
"""A number that a request's body gives."""
Truth = Annotated[bool, Field(strict=True)]
"""The same of what is so, or is not."""


class Ref(BaseModel):
    """What something refers to."""

    id: int = Field(description="Its number.")
    name: str = Field(description="Its name.")


class Why(Body):
    """Why something is done."""

    reason: Reason = Field(default="", description="Why, for whoever reads the audit log.")
