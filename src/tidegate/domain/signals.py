"""The signals that an engine knows."""

import re

_NAME = re.compile(
    r"(?:SIG)?(?:ABRT|ALRM|BUS|CHLD|CLD|CONT|FPE|HUP|ILL|INT|IO|IOT|KILL|PIPE|POLL|PROF|PWR|QUIT|SEGV|STKFLT|STOP|SYS"
    r"|TERM|TRAP|TSTP|TTIN|TTOU|URG|USR1|USR2|VTALRM|WINCH|XCPU|XFSZ"
    r"|RTMIN(?:\+(?:[1-9]|1[0-5]))?|RTMAX(?:-(?:[1-9]|1[0-4]))?)"
)
_NUMBER = re.compile(r"[1-9]|[1-5][0-9]|6[0-4]")


def parse_signal(text: str) -> str:
    """The signal in capitals, by its name with or without SIG, or its number. Raises ValueError."""
    name = text.upper()
    if _NAME.fullmatch(name) is None and _NUMBER.fullmatch(name) is None:
        raise ValueError(f"{text!r} is not a signal")
    return name
