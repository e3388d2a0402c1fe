"""What a form of filters has chosen."""

from tidegate.manager.api.models import LARGEST_ID
from tidegate.manager.api.problems import not_found


def channel_number(text: str) -> int | None:
    """A channel's; None: none was chosen. A form that leaves it open sends nothing for it. Raises `Problem`."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or int(text) > LARGEST_ID:
        raise not_found(f"channel {text!r}")
    return int(text)
