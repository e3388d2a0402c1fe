"""Keys of a terminal."""

import pytest

from tidegate.cli.fleet.top_keys import Keys


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"q", ["q"]),
        (b"\x1b[A\x1b[B\x1bOA", ["up", "down", "up"]),
        (b"\x1b[5~\x1b[6~\x1b[H\x1b[4~", ["page up", "page down", "home", "end"]),
        (b"/caf\xc3\xa9\r", ["/", "c", "a", "f", "é", "enter"]),
        (b"\x7f\x15", ["backspace", "clear"]),
        (b"\x1b[15;2~\x1b[2JX\x00\x01", ["X"]),
        (b"\x1bx", ["escape", "x"]),
    ],
)
def test_what_a_terminal_sends_is_read_as_keys(data: bytes, keys: list[str]) -> None:
    assert Keys().read(data) == keys


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_sequence_that_comes_in_two_pieces_is_one_key(at: int) -> None:
    keys = Keys()
    whole = b"\x1b[6~"
    assert keys.read(whole[:at]) == []
    assert keys.begun
    assert keys.read(whole[at:]) == ["page down"]
    assert not keys.begun


def test_an_escape_after_which_nothing_comes_is_a_key() -> None:
    keys = Keys()
    assert (keys.read(b"\x1b"), keys.rest(), keys.rest()) == ([], ["escape"], [])


def test_a_letter_that_comes_in_two_pieces_is_one() -> None:
    keys = Keys()
    assert keys.read(b"\xc3") + keys.read(b"\xa9") == ["é"]
