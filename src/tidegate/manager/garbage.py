"""When objects are looked through for cycles that nobody refers to. Nobody is answered meanwhile.

Python does it when that many more objects have come than gone. Where thousands of agents are held, old polls go while
new ones come, and the youngest have become a million by the time they are looked through: a tenth of a second. So they
are looked through by what has come alone, and what is held for long comes to the oldest, which are looked through
rarely. What has no cycle goes at once without all that.
"""

import gc
import itertools

_THRESHOLDS = (5_000, 80, 3_000)
_REQUESTS = 100
"""Each leaves some dozens of objects while it is held."""
_OLDER = 3
"""Times the youngest are looked through before those that have been looked through once are."""


def collect_rarely() -> None:
    """From now on rarely; what is there now, the program itself, not again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


class Rounds:
    """Looks through what has come, a little at a time."""

    def __init__(self) -> None:
        self._requests = itertools.count(1)

    def request(self) -> None:
        """A request has come."""
        count = next(self._requests)
        if count % (_REQUESTS * _OLDER) == 0:
            gc.collect(1)
        elif count % _REQUESTS == 0:
            gc.collect(0)
