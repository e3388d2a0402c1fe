"""What a container wrote last: whole lines, without what moves a cursor, bounded, and never in an update's way."""

import asyncio
from typing import Any, cast

import pytest

from tidegate.agent.output import Output, shown
from tidegate.domain.masking import MOST_OUTPUT
from tidegate.engine.errors import ConflictError
from tidegate.engine.model import Container
from tidegate.engine.port import Engine


class Box:
    """An engine with one container, which writes `text`."""

    def __init__(self, text: str | Exception | None) -> None:
        self.id = "1" * 64
        self.document: dict[str, Any] = {"Config": {"Env": ["A_TOKEN=of-mine", "odd", "MODE=x"]}}
        self.text = text
        self.asked: list[int] = []

    async def container(self, ref: str) -> Container:
        assert ref == "web"
        return cast("Container", self)

    async def logs(self, ref: str, *, tail: int) -> str:
        assert ref == self.id
        self.asked.append(tail)
        if self.text is None:
            await asyncio.Event().wait()
        if isinstance(self.text, Exception):
            raise self.text
        return str(self.text)


async def last(box: Box, lines: int = 7, container: str | None = "web") -> str:
    return await Output(cast("Engine", box), lines).last(container)


async def test_so_many_lines_are_asked_for_and_masked_by_the_containers_own_variables() -> None:
    box = Box("sent of-mine\n")
    assert (await last(box), box.asked) == ("sent ***", [7])


@pytest.mark.parametrize("lines", [0, 7])
async def test_nothing_is_asked_where_none_is_wanted_or_there_is_no_container(lines: int) -> None:
    box = Box("text")
    assert (await last(box, lines, None if lines else "web"), box.asked) == ("", [])


async def test_an_engine_that_does_not_say_is_no_failure() -> None:
    assert await last(Box(ConflictError("the log driver does not keep any"))) == ""


async def test_an_engine_that_says_nothing_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.agent.output._WITHIN_S", 0.01)
    assert await last(Box(None)) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\n\n", "a\nb"),
        ("10 %\r20 %\rdone\n", "10 %\n20 %\ndone"),
        ("\x1b[1;31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x1b\\ \x1b7end", "red link end"),
        ("a\tb \x00\x07 c", "a\tb \ufffd\ufffd c"),
        ("turned \u202eround", "turned \ufffdround"),
        ("\ud800 half", "\ufffd half"),
    ],
)
def test_it_is_text_that_a_terminal_and_a_page_can_show(text: str, expected: str) -> None:
    assert shown(text, {}) == expected


def test_the_last_whole_lines_are_kept() -> None:
    text = "".join(f"{number:05} line\n" for number in range(2000))
    found = shown(text, {})
    assert len(found) <= MOST_OUTPUT
    assert len(found) > MOST_OUTPUT - 20
    first, *_, end = found.splitlines()
    assert (first[0], len(first), end) == ("…", 11, "01999 line")


def test_one_long_line_is_cut_and_its_secret_is_masked_before() -> None:
    secret = "s3cret-" * 4
    found = shown("x" * MOST_OUTPUT + secret[:14] + secret[14:] + "y" * (MOST_OUTPUT - 10), {"A_KEY": secret})
    assert len(found) <= MOST_OUTPUT
    assert "s3cret" not in found
    assert found.startswith("…")


def test_a_line_that_the_engine_has_begun_in_the_midst_of_is_left_out() -> None:
    assert shown("of-half-a-secret\n" + "x\n" * 150_000, {}).startswith("…")
    assert "half" not in shown("of-half-a-secret\n" + " " * 300_000 + "\nend", {})
