"""What holds for every route: errors, tokens, headers, limits."""

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
