"""A client that asks over and over while a test does something else."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from tests.support.waiting import get_json


class Asking:
    """Asks `HOST:PORT` for a path in a loop, in a thread, for as long as the `with` block lasts.

    `answers` holds what was answered, in order; `failed` counts requests without an answer.
    """

    def __init__(self, address: str, path: str = "/", *, every_s: float = 0.02) -> None:
        self.answers: list[dict[str, object]] = []
        self.failed = 0
        self._address, self._path, self._every_s = address, path, every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._over.is_set():
            answer = get_json(self._address, self._path)
            if answer is None:
                self.failed += 1
            else:
                self.answers.append(answer)
            time.sleep(self._every_s)

    @property
    def versions(self) -> set[object]:
        """Who has answered."""
        return {answer.get("version") for answer in self.answers}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
