"""Names that people give: of users, labels and the like."""

import re

NAME_TAKES = "1 to 64 letters, digits, and . _ - @ +, beginning with a letter or digit"
NAME = r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")

_OF_SECRETS = ("tg_", "te_")
"""A token that was put in the wrong place would stand in the audit log."""


def is_user_name(text: str) -> bool:
    """Whether it is a name that a user can have. None has a blank, so nobody is `agent NAME`; nor is any `tidegate`."""
    return _NAME.fullmatch(text) is not None and text.casefold() != "tidegate" and not text.startswith(_OF_SECRETS)
