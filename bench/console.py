"""The console's first page with a thousand clusters: how long it takes the server, and how large it is. JSON out."""

from __future__ import annotations

import asyncio
import gzip
import http.cookiejar
import json
import statistics
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import demo_programs as programs
from pictures_fleet import painted

CLUSTERS, TIMES = 1000, 60
GOAL_MS, GOAL_BYTES = 150, 100_000
FILES = ("console.css", "console.js", "htmx.min.js", "idiomorph-ext.min.js")


def main() -> int:
    """Measure, print, and say by the exit code whether the goals are met."""
    with tempfile.TemporaryDirectory() as folder:
        manager = programs.ManagerProgram(Path(folder), insecure_registry="127.0.0.1:1")
        (Path(folder) / "manager").mkdir()
        token = asyncio.run(painted(f"sqlite:///{folder}/manager/tidegate.db", CLUSTERS))
        manager.start()
        try:
            found = _measure(manager.url, token)
        finally:
            manager.program.stop()
    print(json.dumps(found, indent=1))
    return 0 if found["met"] else 1


def _measure(url: str, token: str) -> dict[str, Any]:
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    form = urllib.parse.urlencode({"token": token}).encode()
    browser.open(urllib.request.Request(f"{url}/sign-in", form, {"Origin": url})).read()
    page, took = b"", []
    for _ in range(TIMES):
        began = time.perf_counter()
        page = browser.open(urllib.request.Request(f"{url}/", headers={"Accept-Encoding": "gzip"})).read()
        took.append((time.perf_counter() - began) * 1000)
    whole = len(page) + sum(len(_file(browser, url, page, name)) for name in FILES)
    percentiles = statistics.quantiles(took, n=100)
    middle, late = percentiles[49], percentiles[98]
    return {
        "clusters": CLUSTERS,
        "requests": TIMES,
        "page_ms": {"p50": round(middle, 1), "p99": round(late, 1)},
        "page_bytes": len(page),
        "with_scripts_and_styles_bytes": whole,
        "goals": {"page_ms": GOAL_MS, "bytes": GOAL_BYTES},
        "met": middle < GOAL_MS and whole < GOAL_BYTES,
    }


def _file(browser: urllib.request.OpenerDirector, url: str, page: bytes, name: str) -> bytes:
    """One of the page's files, as it is sent."""
    html = gzip.decompress(page).decode()
    before, _, _ = html.partition(f"/{name}")
    address = before.rpartition('"')[2] + f"/{name}"
    return bytes(browser.open(urllib.request.Request(url + address, headers={"Accept-Encoding": "gzip"})).read())


if __name__ == "__main__":
    sys.exit(main())
