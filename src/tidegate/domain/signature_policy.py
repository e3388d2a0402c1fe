"""Which images must be signed, and by whom: what the agent's operator wrote."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.domain.reference import DEFAULT_REGISTRY, Reference, parse_reference

ALL = "*"
_BENEATH = "/*"
_HUB_HOSTS = {DEFAULT_REGISTRY, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"}
_TLS_PORT = ":443"
_ZEROS_OF_A_PORT = re.compile(r":0+(?=[0-9])")


@dataclass(frozen=True, slots=True)
class SignatureRule:
    """One signer of some repositories: a public `key` (a file's path), or the `identity` and `issuer` of a certificate.

    `repository` is as people write it, `scope` what it means (see `scope_of`). `transparency_log`: the signature must
    be in the public log too.
    """

    repository: str
    scope: str
    key: str = ""
    identity: str = ""
    issuer: str = ""
    transparency_log: bool = True

    @property
    def signer(self) -> str:
        """Who has to have signed, for people."""
        return f"the key {self.key}" if self.key else f"{self.identity} (issuer {self.issuer})"

    def covers(self, reference: Reference) -> bool:
        """Whether the image is of one of its repositories."""
        name = repository_of(reference)
        return name == self.scope or (_is_prefix(self.scope) and name.startswith(self.scope))


@dataclass(frozen=True, slots=True)
class SignaturePolicy:
    """All rules. `refuse_unlisted`: what no rule covers is not installed. `source` is its file's name, for people."""

    rules: tuple[SignatureRule, ...]
    refuse_unlisted: bool = True
    source: str = ""

    def rules_for(self, reference: Reference) -> tuple[SignatureRule, ...]:
        """The rules of the most specific pattern that covers the image; one of them must be satisfied.

        Of scopes that cover the same name, the longest is the most specific: the name itself, if it is one of them.
        """
        covering = [rule for rule in self.rules if rule.covers(reference)]
        best = max((rule.scope for rule in covering), key=len, default=None)
        return tuple(rule for rule in covering if rule.scope == best)


class SignaturePolicyError(Exception):
    """A policy that cannot be used; `sentences` has one for each fault, with the remedy."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = tuple(sentences)


def scope_of(repository: str) -> str:
    """What a repository in a rule means, in full: a repository's name, or the beginning of names, up to a slash.

    `ghcr.io/acme/web` is that one, `ghcr.io/acme/*` every one beneath, however deep, `*` all. Docker Hub's short
    names mean what they mean after `image:`. Raises ValueError.
    """
    if repository == ALL:
        return ""
    if repository.endswith(_BENEATH):
        # Two components: one alone after docker.io would be read as an official image.
        return repository_of(parse_reference(repository.removesuffix(ALL) + "x/x")).removesuffix("x/x")
    reference = parse_reference(repository)
    if reference.tag or reference.digest:
        raise ValueError(repository)
    return repository_of(reference)


def repository_of(reference: Reference) -> str:
    """Registry and repository, the registry spelled one way, so that no other spelling steps round a rule.

    Host names have no capitals, TLS is on port 443 where no port is written, and Docker Hub has several names.
    """
    host = _ZEROS_OF_A_PORT.sub(":", reference.registry.lower()).removesuffix(_TLS_PORT)
    return f"{DEFAULT_REGISTRY if host in _HUB_HOSTS else host}/{reference.repository}"


def _is_prefix(scope: str) -> bool:
    return not scope or scope.endswith("/")
