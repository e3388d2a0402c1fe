"""How often a container under proof is looked at."""

import pytest

from tidegate.agent.prove import _pause_s


@pytest.mark.parametrize(("left_s", "pause_s"), [(60, 0.5), (0.2, 0.2), (0.001, 0.01), (0, 0.5), (-30, 0.5)])
def test_a_look_is_due_at_the_deadline_and_no_more_often_after_it(left_s: float, pause_s: float) -> None:
    assert _pause_s(left_s) == pause_s
