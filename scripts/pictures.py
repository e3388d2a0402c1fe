"""Pictures of the console: those of docs/pictures, or `--all FOLDER`: every page, light and dark, desk and phone."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

import demo_programs as programs
from pictures_fleet import painted

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs" / "pictures"
CHROMIUM = "/usr/bin/chromium"
SIZES = {"desk": (1380, 900), "phone": (390, 844)}
CLUSTERS = 60
QUOTED = {
    "fleet": ("/", "light"),
    "rollout": ("/rollouts/4", "dark"),
    "approve": ("/rollouts/3/approve", "light"),
    "cluster": ("/clusters/vtuber@oslo5", "light"),
}
"""What docs show: the picture's name, its page, and in which light."""
PAGES = {
    "fleet": "/",
    "rollouts": "/rollouts",
    "rollout": "/rollouts/4",
    "rolled-back": "/rollouts/2",
    "approve": "/rollouts/3/approve",
    "cluster": "/clusters/vtuber@oslo5",
    "cluster-labels": "/clusters/vtuber@oslo5/labels",
    "cluster-rollback": "/clusters/vtuber@oslo5/rollback?service=orchestrator",
    "releases": "/releases",
    "release": "/releases/1",
    "release-quarantined": "/releases/2",
    "release-rollout": "/releases/1/rollout",
    "release-quarantine": "/releases/3/quarantine",
    "channels": "/channels",
    "calendar": "/calendar",
    "window": "/calendar/windows/new",
    "freeze": "/calendar/freezes/new",
    "trends": "/charts",
    "sign-in": "/sign-in",
    "quarantine": "/quarantine",
    "quarantine-add": "/quarantine/add",
    "quarantine-release": "/quarantine/1/release",
    "alerts": "/alerts",
    "agents": "/agents",
    "revoke": "/agents/berlin1/revoke",
    "enrol": "/agents/enrol",
    "audit": "/audit",
    "tokens": "/tokens",
    "token": "/tokens/new",
}


def main(argv: list[str]) -> int:
    """Take them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="every page, into this folder")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        manager = programs.ManagerProgram(Path(folder), insecure_registry="127.0.0.1:1")
        (Path(folder) / "manager").mkdir()
        token = asyncio.run(painted(f"sqlite:///{folder}/manager/tidegate.db", CLUSTERS))
        manager.start()
        try:
            with sync_playwright() as driver:
                flags = ["--no-sandbox"] if os.geteuid() == 0 else []
                browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
                for file in (
                    _every(browser, manager.url, token, given.all)
                    if given.all
                    else _quoted(browser, manager.url, token)
                ):
                    print(file)
        finally:
            manager.program.stop()
    return 0


def _quoted(browser: Browser, url: str, token: str) -> list[Path]:
    DOCS.mkdir(exist_ok=True)
    pages = [(DOCS / f"{name}.png", path, light, "desk") for name, (path, light) in QUOTED.items()]
    return _taken(browser, url, token, pages)


def _every(browser: Browser, url: str, token: str, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    pages = [
        (folder / f"{name}-{light}-{size}.png", path, light, size)
        for name, path in PAGES.items()
        for light in ("light", "dark")
        for size in SIZES
    ]
    return _taken(browser, url, token, pages)


def _taken(browser: Browser, url: str, token: str, pages: list[tuple[Path, str, str, str]]) -> list[Path]:
    for file, path, light, size in pages:
        width, height = SIZES[size]
        context = browser.new_context(
            base_url=url,
            viewport={"width": width, "height": height},
            color_scheme="dark" if light == "dark" else "light",
        )
        page = context.new_page()
        page.goto("/sign-in")
        if path != "/sign-in":
            page.get_by_label("Token").fill(token)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url("**/")
            page.goto(path)
            if page.locator("body").get_attribute("data-feed"):
                page.locator("#live[data-state=live]").wait_for()
        page.screenshot(path=file)
        context.close()
    return [file for file, *_ in pages]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
