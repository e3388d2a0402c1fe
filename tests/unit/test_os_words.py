"""Words for what the operating system did not do."""

import asyncio
import errno
import socket

import pytest

from tidegate.os_words import os_words

REFUSED = "Connection refused"


def test_a_connection_that_is_refused_is_told_in_the_systems_words() -> None:
    async def connect() -> None:
        await asyncio.open_connection("127.0.0.1", 1)

    with pytest.raises(OSError, match="Connect call failed") as caught:
        asyncio.run(connect())
    assert os_words(caught.value) == REFUSED


def test_of_errors_for_several_addresses_the_first_is_told() -> None:
    several = OSError(
        "Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 113] Connect call failed"
    )
    assert os_words(several) == REFUSED


def test_a_name_that_is_not_known_keeps_its_words() -> None:
    assert os_words(socket.gaierror(-2, "Name or service not known")) == "Name or service not known"


def test_an_error_without_words_is_told_by_its_kind() -> None:
    assert os_words(ConnectionResetError()) == "ConnectionResetError"
    assert os_words(OSError(errno.ENOSPC, "")) == "No space left on device"
