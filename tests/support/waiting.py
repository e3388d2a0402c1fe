"""Waiting for what a test expects, and asking the test application over HTTP."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def wait_for(get: Callable[[], T], what: str, *, limit_s: float = 60, every_s: float = 0.05) -> T:
    """Return the first true value of `get()`; AssertionError with `what` and the last one after the limit."""
    deadline = time.monotonic() + limit_s
    while not (value := get()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {limit_s:g} s; the last value was {value!r}")
        time.sleep(every_s)
    return value


def status(address: str, path: str = "/", *, method: str = "GET", timeout_s: float = 5) -> int:
    """Return the HTTP status that `HOST:PORT` answers with; 0 if it does not answer."""
    request = urllib.request.Request(f"http://{address}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


def get_json(address: str, path: str = "/", *, timeout_s: float = 5) -> Any:
    """Return the decoded answer of `HOST:PORT`, or None if there is none or it is not a success."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=timeout_s) as response:
            return json.load(response)
    except OSError:
        return None


def served_version(address: str) -> str | None:
    """Return the version of the test application that answers at `HOST:PORT`, or None."""
    answer = get_json(address, timeout_s=2)
    return None if answer is None else str(answer["version"])
