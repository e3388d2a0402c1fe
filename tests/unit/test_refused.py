"""What a request's value is refused with."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tidegate.manager.api.models import Moment
from tidegate.manager.api.refused import faults
from tidegate.manager.api.routes.clusters import LabelsIn
from tidegate.manager.api.routes.freezes import FreezeIn
from tidegate.manager.api.routes.rollout_model import GoBack, NewRollout
from tidegate.manager.api.routes.tokens import TokenIn
from tidegate.manager.api.rules import RuleIn


def refused(kind: Any, value: Any) -> dict[str, str]:
    """Messages by field."""
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        told = [{**one, "loc": ("body", *one["loc"])} for one in error.errors()]
        return {one.field: one.message for one in faults(told, kind)}
    return {}


def test_a_field_that_is_not_known_is_told_with_those_that_are() -> None:
    assert refused(NewRollout, {"channel": 1, "relaese": 3}) == {
        "body.relaese": "it is not known. Did you mean release? "
        "Known are channel, clusters, digest, not_before, reason, release, targets."
    }


def test_a_field_within_a_field_is_told_with_those_beside_it() -> None:
    value = {"name": "a", "scope": {"cluster": []}}
    assert refused(RuleIn, value)["body.scope.cluster"] == (
        "it is not known. Did you mean clusters? Known are channels, clusters, labels."
    )


def test_a_field_that_is_missing_is_told_with_what_it_is() -> None:
    assert refused(NewRollout, {}) == {"body.channel": "it is missing: the number of the channel"}


def test_a_key_is_told_as_one() -> None:
    found = refused(LabelsIn, {"labels": {"a b": "c"}})
    assert list(found) == ["body.labels"]
    assert found["body.labels"].startswith("the name 'a b': it takes a label's name: ")


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (NewRollout, {"channel": 0}, "it is below 1, the least that it takes"),
        (NewRollout, {"channel": "one"}, "it takes a whole number"),
        (NewRollout, {"channel": "2"}, "it takes a whole number"),
        (NewRollout, {"channel": True}, "it takes a whole number"),
        (NewRollout, {"channel": 2.0}, "it takes a whole number"),
        (NewRollout, {"channel": 2**63}, f"it is above {2**63 - 1}, the most that it takes"),
        (NewRollout, {"channel": 1, "release": 2**63}, f"it is above {2**63 - 1}, the most that it takes"),
        (GoBack, {"dry_run": "yes"}, "it takes true or false"),
        (GoBack, {"dry_run": 1}, "it takes true or false"),
        (NewRollout, {"channel": 1, "targets": []}, "it has fewer entries than 1, the least that it takes"),
        (NewRollout, {"channel": 1, "targets": "a"}, "it takes a list"),
        (NewRollout, {"channel": 1, "reason": 5}, "it takes text"),
        (
            NewRollout,
            {"channel": 1, "reason": "x" * 1001},
            "its length is above 500 characters, the most that it takes",
        ),
        (LabelsIn, {"labels": []}, "it takes a document of names and values"),
        (NewRollout, [], "it takes a document of names and values"),
        (TokenIn, {"user": "a", "role": "boss"}, "it takes 'viewer', 'operator', 'approver' or 'admin'"),
        (Moment, "soon", "it is not a time with a time zone, such as 2026-12-20T18:00:00Z"),
        (NewRollout, {"channel": 1, "not_before": "soon"}, "it is not a time with a time zone, such as"),
        (Moment, "2026-13-40T00:00:00Z", "it takes a time with a time zone, such as"),
    ],
)
def test_what_is_taken_is_said_in_words(kind: Any, value: Any, said: str) -> None:
    assert any(one.startswith(said) for one in refused(kind, value).values()), refused(kind, value)


@pytest.mark.parametrize(
    "name", ["\u200b", "\u200b\u200d", "\ufeff", "a\u200b", "\u00ada", "a\u202eb", "a\u2066b", "a\nb", " a"]
)
def test_a_name_that_cannot_be_seen_or_is_read_in_another_order_is_refused(name: str) -> None:
    told = refused(RuleIn, {"name": name})["body.name"]
    assert (
        told == "it takes a line of text without control characters, with no space and nothing invisible at either end"
    )


@pytest.mark.parametrize("name", ["n\u00e4chte", "\u05dc\u05d9\u05dc\u05d4", "\U0001f469\u200d\U0001f4bb nights", "a"])
def test_a_name_of_any_script_is_taken(name: str) -> None:
    assert refused(RuleIn, {"name": name}) == {}


@pytest.mark.parametrize("reason", ["a\u202eb", "a\u2069"])
def test_a_reason_that_is_read_in_another_order_is_refused(reason: str) -> None:
    assert "direction" in refused(NewRollout, {"channel": 1, "reason": reason})["body.reason"]
    when = {"name": "a", "starts_at": "2026-12-20T18:00:00Z", "ends_at": "2026-12-21T18:00:00Z"}
    assert "direction" in refused(FreezeIn, when | {"reason": reason})["body.reason"]
