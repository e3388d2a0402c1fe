"""How fast many polls are answered that there is something for: as fast as the event loop keeps up with.

Each agent comes back at once with its next poll. With thousands at once each turn of the event loop would take so long
that everybody else, who needs many turns, waits for seconds. How long the loop makes a pause last tells how it fares.
"""

import asyncio

A_FEW = 5
"""Polls that are answered at once; then there is a pause."""
_SHORTEST_S, _LONGEST_S = 0.005, 0.02
_ALL_WITHIN_S = 20.0
"""With the longest pauses everybody is answered within that time. The fewer agents a server has, the longer they may
be: of several servers on one machine none knows of the others but by being slowed down."""
_LATE_S = 0.005
"""The loop has more to do than it should: a person's request needs a dozen turns."""
_BEHIND_S = 0.2
"""So much of what the pauses were too long by is made up for: with the longest, all are answered in time. More than
that is not: it would be a lump at the beginning of many answers."""


class Pace:
    """Pauses between a few that are answered and the next few."""

    def __init__(self) -> None:
        self._pause_s = _SHORTEST_S * 2
        self._go_on_at = 0.0

    async def pause(self, held: int) -> None:
        """Wait until the next few may be answered, where so many agents have a poll here."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        if began - self._go_on_at > _BEHIND_S:
            self._go_on_at = began
        self._go_on_at += self._pause_s
        until = max(began, self._go_on_at)
        await asyncio.sleep(until - began)
        self._pause_s = after(self._pause_s, late_s=loop.time() - until, longest_s=longest(held))


def longest(held: int) -> float:
    """The longest pause, in seconds, where so many polls are held."""
    return max(_SHORTEST_S, min(_LONGEST_S, _ALL_WITHIN_S * A_FEW / max(1, held)))


def after(pause_s: float, *, late_s: float, longest_s: float) -> float:
    """The pause after one that has lasted so much longer than it was to."""
    return min(longest_s, 1.5 * pause_s) if late_s > _LATE_S else max(_SHORTEST_S, 0.9 * pause_s)
