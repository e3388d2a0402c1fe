"""Which images must be signed, by whom, and what a file that says so may not say."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.reference import parse_reference
from tidegate.domain.signature_policy import SignaturePolicy, SignaturePolicyError, SignatureRule, scope_of
from tidegate.domain.signature_policy_reader import read_signature_policy

FILE = "/etc/tidegate/signatures.toml"
WEB = '[[image]]\nrepository = "ghcr.io/acme/web"\nkey = "acme.pub"\n'
PATTERNS = [
    "*",
    "ghcr.io/*",
    "ghcr.io/acme/*",
    "ghcr.io/acme/team/*",
    "ghcr.io/acme/web",
    "redis",
    "library/*",
    "docker.io/*",
]
IMAGES = ["ghcr.io/acme/web", "ghcr.io/acme/team/web", "ghcr.io/acme", "ghcr.io/acmeinc/web", "redis", "acme/redis"]


def rule(repository: str, key: str = "acme.pub") -> SignatureRule:
    return SignatureRule(repository, scope_of(repository), key)


def chosen(image: str, repositories: Sequence[str]) -> list[str]:
    """The repositories of the rules that count for an image."""
    policy = SignaturePolicy(tuple(rule(repository) for repository in repositories))
    return [one.repository for one in policy.rules_for(parse_reference(image))]


def refused(text: str) -> tuple[str, ...]:
    with pytest.raises(SignaturePolicyError) as caught:
        read_signature_policy(text, FILE)
    return caught.value.sentences


@pytest.mark.parametrize(
    ("repository", "image", "covered"),
    [
        ("ghcr.io/acme/web", "ghcr.io/acme/web:1", True),
        ("ghcr.io/acme/web", "ghcr.io/acme/web2:1", False),
        ("ghcr.io/acme/*", "ghcr.io/acme/web:1", True),
        ("ghcr.io/acme/*", "ghcr.io/acme/team/web:1", True),
        ("ghcr.io/acme/*", "ghcr.io/acmeinc/web:1", False),
        ("ghcr.io/acme/*", "evil.test/ghcr.io/acme/web:1", False),
        ("ghcr.io/*", "ghcr.io/acme/web:1", True),
        ("*", "localhost:5000/x", True),
        ("localhost:5000/*", "localhost:5000/x:1", True),
        ("localhost:5000/x", "localhost:5000/x:1", True),
        ("redis", "docker.io/library/redis:7", True),
        ("redis", "registry-1.docker.io/library/redis:7", True),
        ("redis", "Index.Docker.io:443/library/redis:7", True),
        ("ghcr.io/acme/web", "GHCR.io/acme/web:1", True),
        ("GHCR.io/acme/*", "ghcr.io/acme/web:1", True),
        ("ghcr.io/acme/*", "ghcr.io:443/acme/web:1", True),
        ("ghcr.io:443/acme/*", "ghcr.io/acme/web:1", True),
        ("ghcr.io/acme/*", "ghcr.io:0443/acme/web:1", True),
        ("ghcr.io/acme/*", "ghcr.io:8443/acme/web:1", False),
        ("[::1]:05000/x", "[::1]:5000/x:1", True),
        ("redis", "registry.hub.docker.com/library/redis:7", True),
        ("docker.io/library/redis", "redis", True),
        ("index.docker.io/acme/*", "acme/web", True),
        ("docker.io/*", "redis", True),
        ("docker.io/*", "acme/web", True),
        ("library/*", "redis", True),
        ("library/*", "acme/web", False),
        ("acme/*", "acme/web", True),
        ("acme/*", "ghcr.io/acme/web", False),
    ],
)
def test_a_rule_covers_the_repositories_that_it_names(repository: str, image: str, *, covered: bool) -> None:
    assert rule(repository).covers(parse_reference(image)) is covered


@pytest.mark.parametrize(
    "repository", ["ghcr.io/acme/web:1", "a/*/b", "acme*", "/*", "", "ghcr.io/Acme", "https://x/y"]
)
def test_what_names_no_repository_is_refused_with_what_is_taken(repository: str) -> None:
    (sentence,) = refused(f'[[image]]\nrepository = "{repository}"\nkey = "acme.pub"\n')
    assert sentence.startswith(f"{FILE}: [[image]] 1 ({repository})")
    assert "write a text" in sentence or "or ghcr.io/acme/* for all beneath" in sentence


@given(st.permutations(PATTERNS), st.sampled_from(IMAGES))
def test_the_order_of_rules_does_not_matter_and_the_most_specific_one_counts(order: list[str], image: str) -> None:
    (found,) = chosen(image, order)
    covering = [one for one in PATTERNS if rule(one).covers(parse_reference(image))]
    assert len(scope_of(found)) == max(len(scope_of(one)) for one in covering)


def test_several_rules_for_the_same_repositories_all_count() -> None:
    policy = SignaturePolicy((rule("redis", "old.pub"), rule("*"), rule("docker.io/library/redis", "new.pub")))
    assert [one.key for one in policy.rules_for(parse_reference("redis"))] == ["old.pub", "new.pub"]


def test_what_no_rule_covers_is_refused_unless_the_file_allows_it() -> None:
    assert read_signature_policy(WEB, FILE).refuse_unlisted is True
    assert read_signature_policy(f'unlisted = "refuse"\n{WEB}', FILE).refuse_unlisted is True
    assert read_signature_policy(f'unlisted = "allow"\n{WEB}', FILE).refuse_unlisted is False


def test_a_rule_names_a_key_or_a_certificates_identity_and_issuer() -> None:
    keyless = '[[image]]\nrepository = "*"\nidentity = "me@acme.test"\nissuer = "https://acme.test"\n'
    first, second = read_signature_policy(WEB + "transparency-log = false\n" + keyless, FILE).rules
    assert (first.key, first.transparency_log, first.signer) == ("acme.pub", False, "the key acme.pub")
    assert (second.identity, second.issuer, second.transparency_log) == ("me@acme.test", "https://acme.test", True)
    assert second.signer == "me@acme.test (issuer https://acme.test)"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("image = ", "is not TOML"),
        ("", "has no rule: write [[image]]"),
        ('[image]\nrepository = "x"\n', "has no rule: write [[image]]"),
        ("image = [1]\n", "has no rule: write [[image]]"),
        (f'unlisted = "alow"\n{WEB}', 'unlisted is \'alow\'; write "allow" or "refuse"'),
        (f"unlisted = []\n{WEB}", "unlisted is []; write"),
        (f'unlistd = "allow"\n{WEB}', "unlistd is not known; take it out, or use one of image, unlisted. Did you mean"),
        (WEB + "idenity = 1\n", "[[image]] 1 (ghcr.io/acme/web): idenity is not known"),
        (WEB + 'transparency-log = "no"\n', "transparency-log is 'no'; write true or false"),
        ('[[image]]\nrepository = "x"\nkey = " "\n', "key is ' '; write a text that is not empty"),
        ('[[image]]\nrepository = "x"\nkey = 1\n', "key is 1; write a text that is not empty"),
        ('[[image]]\nkey = "x"\n', "[[image]] 1 names no repository; it takes"),
        (WEB + 'identity = "x"\n', "has a key and an identity: keep one"),
        (WEB + 'issuer = "x"\n', "has a key and an issuer: keep one"),
        ('[[image]]\nrepository = "x"\n', "does not say who signs: give it a key, or an identity and its issuer"),
        ('[[image]]\nrepository = "x"\nidentity = "x"\n', "does not say who signs"),
        ('[[image]]\nrepository = "x"\nissuer = "x"\n', "does not say who signs"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_name_the_rule_and_the_remedy(text: str, says: str) -> None:
    (sentence,) = refused(text)
    assert sentence.startswith(FILE)
    assert says in sentence


def test_every_fault_is_told_at_once() -> None:
    assert len(refused('unlisted = 1\nmore = 2\n[[image]]\nrepository = "x"\n[[image]]\nkey = "x"\n')) == 4


@given(st.text() | st.text(alphabet="[]={}\"' \nimagekeyunlistedrepository."))
def test_any_text_is_a_policy_or_is_refused_with_the_files_name(text: str) -> None:
    try:
        faults: tuple[str, ...] = ()
        read_signature_policy(text, FILE)
    except SignaturePolicyError as error:
        faults = error.sentences
    assert all(sentence.startswith(FILE) for sentence in faults)
