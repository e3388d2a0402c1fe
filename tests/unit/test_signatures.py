"""Releases held to the policy: who is asked for what, and how a refusal is told."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from tidegate.agent.cosign import CosignError, Trouble
from tidegate.agent.signatures import Signatures, UnverifiedError
from tidegate.domain.reference import Reference, parse_reference
from tidegate.domain.signature_policy import SignaturePolicy, SignatureRule, scope_of

DIGEST = "sha256:" + "a" * 64
WEB = parse_reference(f"ghcr.io/acme/web@{DIGEST}")
FILE = "/etc/tidegate/signatures.toml"
Answer = str | Trouble


class Verifier:
    """Answers by the rule's key: with the repository that was signed, or with what is wrong."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self.answers = dict(answers)
        self.asked: list[str] = []
        self.hurried: list[bool] = []
        self.now, self.takes_s = 1000.0, 0.0

    async def verify(self, rule: SignatureRule, image: Reference, *, hurry: bool = False) -> str:
        self.asked.append(rule.key)
        self.hurried.append(hurry)
        self.now += self.takes_s
        answer = self.answers[rule.key]
        if isinstance(answer, Trouble):
            raise CosignError(answer, "cosign says: no")
        identity, content = {"docker-reference": answer}, {"docker-manifest-digest": image.digest}
        return json.dumps([{"critical": {"identity": identity, "image": content}}])


def held(answers: Mapping[str, Answer], repository: str = "ghcr.io/acme/*", *, refuse: bool = True) -> Signatures:
    rules = tuple(SignatureRule(repository, scope_of(repository), key) for key in answers)
    return Signatures(SignaturePolicy(rules, refuse_unlisted=refuse, source=FILE), Verifier(answers))


async def refusal(signatures: Signatures, image: Reference = WEB) -> str:
    with pytest.raises(UnverifiedError) as caught:
        await signatures.check(image)
    return str(caught.value)


async def test_a_release_that_is_signed_is_let_in() -> None:
    await held({"acme.pub": "ghcr.io/acme/web"}).check(WEB)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Trouble.UNSIGNED, "it has no signature, cosign says: no"),
        (Trouble.BY_OTHERS, "none of its signatures satisfies the rule, cosign says: no"),
        ("ghcr.io/acme/api", "its signature was made for ghcr.io/acme/api, not for ghcr.io/acme/web"),
    ],
)
async def test_a_refusal_names_the_image_the_fault_the_signer_the_rule_and_the_remedy(
    answer: Answer, says: str
) -> None:
    assert await refusal(held({"acme.pub": answer})) == (
        f"ghcr.io/acme/web@{DIGEST[:19]} was not pulled: {says} (asked for: the key acme.pub); rule ghcr.io/acme/* of "
        f"{FILE}; sign it with `cosign sign`, under the name that it is pulled by; it is asked for again at the next "
        f"look"
    )


async def test_where_cosign_cannot_tell_nobody_is_told_to_sign() -> None:
    said = await refusal(held({"acme.pub": Trouble.UNKNOWN}))
    assert "whether it is signed could not be found out, cosign says: no" in said
    assert "cosign sign`" not in said


async def test_one_of_several_signers_is_enough() -> None:
    await held({"old.pub": Trouble.BY_OTHERS, "new.pub": "ghcr.io/acme/web"}).check(WEB)


async def test_where_none_of_several_signers_has_signed_each_is_named() -> None:
    said = await refusal(held({"old.pub": Trouble.BY_OTHERS, "new.pub": "ghcr.io/acme/api"}))
    assert "satisfies the rule, cosign says: no (asked for: the key old.pub); its signature was made for" in said
    assert "(asked for: the key new.pub)" in said


async def test_a_signer_that_cannot_be_asked_about_does_not_stand_in_another_ones_way() -> None:
    await held({"old.pub": Trouble.UNKNOWN, "new.pub": "ghcr.io/acme/web"}).check(WEB)


async def test_where_another_signer_would_make_no_difference_cosign_is_run_once() -> None:
    verifier = Verifier({"old.pub": Trouble.UNSIGNED, "new.pub": Trouble.UNSIGNED})
    rules = tuple(SignatureRule("*", "", key) for key in verifier.answers)
    await refusal(Signatures(SignaturePolicy(rules), verifier))
    assert verifier.asked == ["old.pub"]


async def test_what_no_rule_is_about_is_refused_with_the_remedy_or_let_in_as_the_file_says() -> None:
    redis = parse_reference("redis").with_digest(DIGEST)
    assert await refusal(held({"acme.pub": "x"}), redis) == (
        f"redis@{DIGEST[:19]} was not installed: no rule of {FILE} is about it; add an [[image]] for "
        f'docker.io/library/redis, or write unlisted = "allow" at its top, and restart the agent'
    )
    await held({"acme.pub": "x"}, refuse=False).check(redis)


async def test_an_image_of_the_engines_own_is_refused_under_a_rule_and_let_in_without_one() -> None:
    image = parse_reference("ghcr.io/acme/web:live")
    signatures = held({"acme.pub": "ghcr.io/acme/web"}, refuse=False)
    with pytest.raises(UnverifiedError, match=r"ghcr.io/acme/web was not installed: it is taken from the engine"):
        signatures.check_local(image)
    signatures.check_local(parse_reference("redis"))


async def test_a_yes_holds_until_the_pull_and_is_asked_for_again_after_five_minutes() -> None:
    now = [1000.0]
    verifier = Verifier({"acme.pub": "ghcr.io/acme/web"})
    signatures = Signatures(SignaturePolicy((SignatureRule("*", "", "acme.pub"),)), verifier, lambda: now[0])
    for later_s, asked in ((0, 1), (299, 1), (2, 2)):
        now[0] += later_s
        await signatures.check(WEB)
        assert len(verifier.asked) == asked


async def test_a_no_is_asked_for_again_at_once_and_a_yes_is_for_one_digest_only() -> None:
    verifier = Verifier({"acme.pub": Trouble.UNSIGNED})
    signatures = Signatures(SignaturePolicy((SignatureRule("*", "", "acme.pub"),)), verifier)
    await refusal(signatures)
    verifier.answers["acme.pub"] = "ghcr.io/acme/web"
    await signatures.check(WEB)
    verifier.answers["acme.pub"] = Trouble.UNSIGNED
    await refusal(signatures, WEB.with_digest("sha256:" + "b" * 64))


@pytest.mark.parametrize(
    ("answer", "takes_s", "later_s", "image", "hurried"),
    [
        (Trouble.UNKNOWN, 60, 0, "ghcr.io/acme/api", True),
        (Trouble.UNKNOWN, 5, 100, "ghcr.io/acme/api", True),
        (Trouble.UNKNOWN, 60, 121, "ghcr.io/acme/api", False),
        (Trouble.UNKNOWN, 60, 0, "elsewhere.test/acme/api", False),
        (Trouble.UNKNOWN, 1, 0, "ghcr.io/acme/api", False),
        (Trouble.UNSIGNED, 60, 0, "ghcr.io/acme/api", False),
    ],
)
async def test_a_registry_that_took_long_to_give_no_answer_is_hurried_for_a_while(
    answer: Trouble, takes_s: float, later_s: float, image: str, *, hurried: bool
) -> None:
    verifier = Verifier({"acme.pub": answer})
    verifier.takes_s = takes_s
    signatures = Signatures(SignaturePolicy((SignatureRule("*", "", "acme.pub"),)), verifier, lambda: verifier.now)
    await refusal(signatures)
    verifier.now += later_s
    await refusal(signatures, parse_reference(image).with_digest(DIGEST))
    assert verifier.hurried == [False, hurried]


async def test_every_second_question_to_a_slow_registry_has_its_whole_time() -> None:
    verifier = Verifier({"acme.pub": Trouble.UNKNOWN})
    verifier.takes_s = 5
    signatures = Signatures(SignaturePolicy((SignatureRule("*", "", "acme.pub"),)), verifier, lambda: verifier.now)
    for _ in range(4):
        await refusal(signatures)
    assert verifier.hurried == [False, True, False, True]


async def test_one_answer_in_time_ends_the_hurry() -> None:
    verifier = Verifier({"acme.pub": Trouble.UNKNOWN})
    verifier.takes_s = 60
    signatures = Signatures(SignaturePolicy((SignatureRule("*", "", "acme.pub"),)), verifier, lambda: verifier.now)
    await refusal(signatures)
    verifier.answers["acme.pub"], verifier.takes_s = "ghcr.io/acme/web", 1
    await signatures.check(WEB)
    await refusal(signatures, parse_reference("ghcr.io/acme/api").with_digest(DIGEST))
    assert verifier.hurried == [False, True, False]
