"""The operating system's words for why something could not be done."""

import os
import re

_NUMBERED = re.compile(r"\[Errno (\d+)\]")


def os_words(error: OSError) -> str:
    """Such as `Connection refused`, where asyncio has words of its own, or several errors for several addresses."""
    said = error.strerror or str(error)
    first = _NUMBERED.search(said)
    number = error.errno or (int(first[1]) if first else 0)
    return os.strerror(number) if number > 0 else said or type(error).__name__
