"""A real browser, Debian's Chromium, at the console: what a person sees and clicks, and what may never happen there."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.base import AXE_FILE_PATH  # type: ignore[import-untyped]
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright
from tests.support.absent import cannot

T = TypeVar("T")
PROGRAM = Path("/usr/bin/chromium")
DESK, PHONE = (1380, 900), (390, 844)
PATIENCE_MS = 60_000
_SERIOUS = {"serious", "critical"}
_FLAGS = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
_AXE = "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"


@pytest.fixture
def chromium() -> Iterator[Browser]:
    """The browser, without a window. One a test: while it runs, no other event loop can in this thread."""
    if not PROGRAM.exists():
        cannot(f"there is no {PROGRAM}: make setup installs Debian's chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=PROGRAM, args=_FLAGS)
        yield browser
        browser.close()


@dataclass
class Faults:
    """What a page has done that no page of ours may: asked another host, or told of an error."""

    host: str
    found: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)
    """Beginnings of what the browser may complain of, such as a manager that is away on purpose."""
    others: set[str] = field(default_factory=set)
    """Hosts that may be asked all the same."""

    def heard(self, message: ConsoleMessage) -> None:
        """The browser says something about a page."""
        if message.type in {"error", "warning"} and not any(one in message.text for one in self.allowed):
            self.found.append(f"{message.type}: {message.text} ({message.location})")

    def asked(self, request: Request) -> None:
        """A page asks for something."""
        if urlsplit(request.url).netloc not in {self.host, *self.others}:
            self.found.append(f"it asked {request.url}")

    def failed(self, error: Exception) -> None:
        """A script has failed."""
        self.found.append(f"script: {error}")


@contextlib.contextmanager
def looking(
    browser: Browser, url: str, token: str | None = None, *, size: tuple[int, int] = DESK, dark: bool = False
) -> Iterator[tuple[Page, Faults]]:
    """Somebody's own window, signed in with a token. AssertionError at the end if a page did what none may."""
    width, height = size
    context = browser.new_context(
        base_url=url, viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
    )
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    page, faults = context.new_page(), Faults(urlsplit(url).netloc)
    page.on("console", faults.heard)
    page.on("pageerror", faults.failed)
    context.on("request", faults.asked)
    try:
        if token is not None:
            sign_in(page, token)
        yield page, faults
        assert not faults.found, "\n".join(faults.found)
    finally:
        context.close()


def beside(work: Coroutine[Any, Any, T]) -> T:
    """Run something asynchronous while a browser runs."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def sign_in(page: Page, token: str) -> None:
    """Show a token, from the page that asks for one."""
    page.goto("/sign-in")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")


def barriers(page: Page) -> list[str]:
    """What keeps somebody from using a page without eyes, mouse or steady hands, as far as axe-core finds it."""
    page.evaluate(AXE_FILE_PATH.read_text(encoding="utf-8"))
    found = [one for one in page.evaluate(_AXE) if one["impact"] in _SERIOUS]
    return [f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}" for one in found]
