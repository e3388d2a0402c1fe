"""How fast many polls are answered that there is something for: as fast as the event loop keeps up with.

Each agent comes back at once with its next poll. With thousands at once each turn of the event loop would take so long
that everybody else, who needs many turns, waits for seconds. How long the loop makes a pause last tells how it fares.
"""

import asyncio

_SHORTEST_S, _LONGEST_S = 0.005, 0.01
_LATE_S = 0.005
"""The loop has more to do than it should: a person's request needs a dozen turns."""
_BEHIND_S = 0.2
"""So much of what the pauses were too long by is made up for: with the longest, all are answered in time. More than
that is not: it would be a lump at the beginning of many answers."""


class Pace:
    """Pauses between a few that are answered and the next few."""

    def __init__(self) -> None:
        self._pause_s = _LONGEST_S
        self._go_on_at = 0.0

    async def pause(self) -> None:
        """Wait until the next few may be answered."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        if began - self._go_on_at > _BEHIND_S:
            self._go_on_at = began
        self._go_on_at += self._pause_s
        until = max(began, self._go_on_at)
        await asyncio.sleep(until - began)
        self._pause_s = after(self._pause_s, loop.time() - until)


def after(pause_s: float, late_s: float) -> float:
    """The pause after one that has lasted so much longer than it was to."""
    return min(_LONGEST_S, 1.5 * pause_s) if late_s > _LATE_S else max(_SHORTEST_S, 0.9 * pause_s)
