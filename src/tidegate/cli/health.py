"""`--health-check`: whether an agent runs with this state directory; changes nothing."""

import fcntl
import os
from pathlib import Path


def agent_runs(state: Path) -> bool:
    """Whether some process holds the lock of the state directory."""
    try:
        descriptor = os.open(state / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
