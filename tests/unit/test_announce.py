import pytest

from tidegate.agent.announce import HostAnnouncer, MemberAnnouncer
from tidegate.agent.announce_arp import Interface, gratuitous, who_has
from tidegate.agent.announce_watch import main

OWN, CANDIDATE = "02:42:0a:00:00:02", "02:42:0a:00:00:03"
GONE = Interface("gone0", 2**30, "192.0.2.1", OWN)


def test_a_gratuitous_frame_comes_from_its_sender_and_speaks_for_somebody_else() -> None:
    frame = gratuitous(OWN, "10.0.0.3", CANDIDATE)
    assert frame[:14].hex(":") == f"ff:ff:ff:ff:ff:ff:{OWN}:08:06"
    assert frame[14:22].hex() == "0001080006040001"
    assert frame[22:].hex() == "02420a0000030a000003" + "00" * 6 + "0a000003"


def test_a_question_names_the_address_it_asks_for_and_whom_to_answer() -> None:
    assert who_has("10.0.0.3", OWN, "10.0.0.1")[22:].hex() == "02420a0000020a000001" + "00" * 6 + "0a000003"


async def test_a_bridge_that_is_gone_is_no_error() -> None:
    announcer = HostAnnouncer(GONE)
    await announcer.prepare(["192.0.2.3"])
    await announcer.announce("192.0.2.3", CANDIDATE)
    await announcer.close()


async def test_an_own_interface_that_is_gone_is_no_error() -> None:
    await MemberAnnouncer(GONE).announce("192.0.2.3", CANDIDATE)


@pytest.mark.parametrize("arguments", [["192.0.2.0/24"], ["192.0.2.0/24", "1"]])
def test_the_helper_refuses_a_place_where_it_sees_no_bridge(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "192.0.2.0/24" in capsys.readouterr().err or len(arguments) == 1
