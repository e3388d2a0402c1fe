"""When objects are looked through for cycles that nobody refers to."""

import gc

_THRESHOLDS = (5_000, 80, 100)
"""Objects that came and did not go before the youngest are looked through, and how many times that before the older
ones are. What is held for thousands of agents is looked through when it is the turn of the oldest, and nobody is
answered meanwhile, so that comes rarely; what has no cycle goes at once without it."""


def collect_rarely() -> None:
    """From now on rarely; what is there now, the program itself, not again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
