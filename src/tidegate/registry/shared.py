"""Work that several callers want at once is done once."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Shared(Generic[Key, Value]):
    """Values by key, each made once however many ask meanwhile. A failure reaches all who wait and is not kept."""

    def __init__(self, fresh: Callable[[Value], bool] = lambda _: True) -> None:
        """`fresh` tells whether a value made earlier still counts."""
        self._fresh = fresh
        self._tasks: dict[Key, asyncio.Task[Value]] = {}

    async def get(self, key: Key, make: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """The value of `key`, made by `make` if there is none. A caller that gives up stops nobody else."""
        task = self._tasks.get(key)
        if task is None or not self._usable(task):
            task = asyncio.create_task(make())
            task.add_done_callback(lambda done: self._forget_failure(key, done))
            self._tasks[key] = task
        return await asyncio.shield(task)

    def drop(self, key: Key, value: Value) -> None:
        """Forget `value`, unless another one has taken its place."""
        task = self._tasks.get(key)
        if task is not None and _succeeded(task) and task.result() is value:
            del self._tasks[key]

    async def close(self) -> None:
        """Stop what is being made, and forget everything."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _usable(self, task: asyncio.Task[Value]) -> bool:
        return not task.done() or (_succeeded(task) and self._fresh(task.result()))

    def _forget_failure(self, key: Key, task: asyncio.Task[Value]) -> None:
        if not _succeeded(task) and self._tasks.get(key) is task:
            del self._tasks[key]


def _succeeded(task: asyncio.Task[Value]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None
