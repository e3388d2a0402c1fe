"""Background work that goes on whatever happens."""

import asyncio

import pytest

from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.supervision import at_work, keep_going


class Failing:
    """Fails so many times, and then works until it is cancelled."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.working = asyncio.Event()
        self.ended = False

    async def run(self) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.working.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True


async def test_what_fails_is_begun_again() -> None:
    it = Failing(RuntimeError("a"), StoreUnavailableError("b"), RuntimeError("c"))
    task = asyncio.create_task(keep_going(it, (0.0, 0.001)))
    async with asyncio.timeout(40):
        await it.working.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_one_that_fails_keeps_no_other_from_its_work() -> None:
    bad, good = Failing(*(RuntimeError(str(each)) for each in range(50))), Failing()
    async with at_work([bad, good]), asyncio.timeout(40):
        await good.working.wait()
    assert good.ended


async def test_what_has_ended_by_itself_is_not_begun_again() -> None:
    class Once:
        times = 0

        async def run(self) -> None:
            self.times += 1

    it = Once()
    await keep_going(it)
    assert it.times == 1


@pytest.mark.parametrize("error", [RuntimeError("as it ended"), StoreUnavailableError("as it ended")])
async def test_what_fails_as_it_is_told_to_end_is_not_begun_again(error: Exception) -> None:
    class FailsToEnd(Failing):
        async def run(self) -> None:
            try:
                await super().run()
            except asyncio.CancelledError:
                raise error from None

    it = FailsToEnd()
    async with asyncio.timeout(40):
        async with at_work([it]):
            await it.working.wait()
    assert it.ended
