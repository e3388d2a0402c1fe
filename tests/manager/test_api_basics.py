"""What holds for every route: errors, tokens, headers, limits."""

import pytest
from tests.support.manager import People


async def test_who_has_a_token_is_told_who_they_are(people: People) -> None:
    answer = await people.operator.get("/me")
    assert (answer.status, answer.json["user"], answer.json["role"]) == (200, "a-operator", "operator")


async def test_who_has_none_is_told_what_to_bring(people: People) -> None:
    answer = await people.nobody.get("/me")
    assert (answer.status, answer.json["code"]) == (401, "unauthorized")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "Authorization: Bearer" in answer.json["detail"]


async def test_health_is_told_to_anybody(people: People) -> None:
    for path in ("//healthz", "//readyz"):
        assert (await people.nobody.get(path)).json == {"status": "ok"}


@pytest.mark.parametrize("path", ["//healthz", "//readyz", "//metrics"])
async def test_who_watches_may_ask_for_the_head_alone(people: People, path: str) -> None:
    asked, head = await people.viewer.get(path), await people.viewer("HEAD", path)
    assert (head.status, head.text, head.headers["Content-Type"]) == (200, "", asked.headers["Content-Type"])
    assert (await people.viewer("DELETE", path)).headers["Allow"] == "GET, HEAD"


async def test_a_head_of_the_metrics_takes_a_token_as_they_do(people: People) -> None:
    assert (await people.nobody("HEAD", "//metrics")).status == 401


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/targets?channel=1&channel=2", "query.channel"),
        ("/windows?name=a&limit=1&name=a", "query.name"),
        ("/tokens?valid=true&valid=false", "query.valid"),
        ("/events?kinds=rollout.&kinds=agent.", "query.kinds"),
    ],
)
async def test_a_parameter_that_takes_one_value_and_has_two_is_refused(people: People, path: str, field: str) -> None:
    refused = await people.admin.get(path)
    assert (refused.status, [one["field"] for one in refused.json["errors"]]) == (422, [field])
    assert refused.json["errors"][0]["message"] == "it is given 2 times; it takes one"


async def test_a_parameter_that_takes_several_values_may_have_several(people: People) -> None:
    for path in ("/rollouts?state=running&state=paused", "/clusters?label=a=b&label=c=d"):
        assert (await people.viewer.get(path)).status == 200, path
