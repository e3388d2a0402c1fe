"""A clock, a sleep and a chance that tests hold in their hands."""

from dataclasses import dataclass, field


@dataclass
class Hands:
    """Time stands still unless moved; sleeping is noted down and takes no time."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def random(self) -> float:
        return 0.5
