"""Somebody who looks at the console as a browser without a script does: with cookies, forms and links."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import aiohttp

_VOID = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr", "rect", "path"})


@dataclass
class Element:
    """One element of a page: its tag, attributes and what is in it."""

    tag: str
    attributes: Mapping[str, str]
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What it says, with single blanks."""
        return " ".join(self._text().split())

    def _text(self) -> str:
        return " ".join(one if isinstance(one, str) else one._text() for one in self.children)

    def all(self, tag: str = "", **attributes: str) -> list[Element]:
        """Every element in it of this tag with these attributes; a class is one of several, `class_` names it."""
        found = [self] if self._is(tag, attributes) else []
        for one in self.children:
            if isinstance(one, Element):
                found += one.all(tag, **attributes)
        return found

    def one(self, tag: str = "", **attributes: str) -> Element:
        """The only one. AssertionError where there is none, or more."""
        found = self.all(tag, **attributes)
        assert len(found) == 1, f"{len(found)} of {tag} {attributes} in: {self.text[:2000]}"
        return found[0]

    def _is(self, tag: str, wanted: Mapping[str, str]) -> bool:
        if tag and self.tag != tag:
            return False
        for name, value in wanted.items():
            has = self.attributes.get(name.rstrip("_").replace("_", "-"))
            if has is None or (value not in has.split() if name == "class_" else value != has):
                return False
        return True


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(made)
        if tag not in _VOID:
            self._open.append(made)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        assert self._open[-1].tag == tag, f"<{self._open[-1].tag}> is ended by </{tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def read(html: str) -> Element:
    """A page. AssertionError where its elements do not end in their order."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader._open == [reader.root], f"<{reader._open[-1].tag}> has no end"
    return reader.root


@dataclass(frozen=True)
class Shown:
    """What was answered, at the end of all redirects."""

    status: int
    path: str
    headers: Mapping[str, str] = field(repr=False)
    html: str = field(repr=False)

    @property
    def number(self) -> int:
        """That of what it shows, as its address has it."""
        return int(self.path.rpartition("/")[2])

    @property
    def page(self) -> Element:
        """It as elements."""
        return read(self.html)

    @property
    def main(self) -> Element:
        """What it is about."""
        return self.page.one("main")

    @property
    def text(self) -> str:
        """What it says there."""
        return self.main.text


@dataclass(frozen=True)
class Visitor:
    """A browser of one person."""

    session: aiohttp.ClientSession
    url: str

    async def get(self, path: str = "/", *, follow: bool = True, **headers: str) -> Shown:
        """Ask for a page."""
        return await self._shown("GET", path, follow=follow, headers=headers)

    async def send(
        self, path: str, fields: Mapping[str, Any] | None = None, *, follow: bool = True, **headers: str
    ) -> Shown:
        """Send a form to an address, as a page of the console does."""
        given = {"Origin": self.url} | headers
        return await self._shown("POST", path, follow=follow, headers=given, data=dict(fields or {}))

    async def submit(self, shown: Shown, action: str, **fields: str) -> Shown:
        """Fill in a form of a page, and send it."""
        form = shown.page.one("form", method="post", action=action)
        kept = {one.attributes["name"]: one.attributes.get("value", "") for one in form.all("input", type="hidden")}
        return await self.send(action, kept | fields)

    async def sign_in(self, token: str) -> Shown:
        """Show a token, from the page that asks for one."""
        return await self.submit(await self.get("/sign-in"), "/sign-in", token=token)

    async def _shown(self, method: str, path: str, *, follow: bool, **more: Any) -> Shown:
        if method == "POST" and not more.get("data"):
            more["headers"] = {"Content-Type": "application/x-www-form-urlencoded", **more["headers"]}
            more["data"] = b""
        async with self.session.request(method, self.url + path, allow_redirects=follow, **more) as got:
            return Shown(got.status, got.url.path_qs, got.headers, await got.text())


@asynccontextmanager
async def visiting(url: str, token: str | None = None) -> AsyncIterator[Visitor]:
    """A browser of its own; with a token, signed in."""
    jar = aiohttp.CookieJar(unsafe=True)  # the tests' managers have addresses for names
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        made = Visitor(session, url)
        if token is not None:
            shown = await made.sign_in(token)
            assert shown.status == 200, shown.text
        yield made
