"""Holds releases to the operator's signature policy: what is not signed as it asks is not pulled."""

import time
from collections.abc import Callable
from typing import Protocol

from tidegate.agent.cosign import CosignError, Trouble
from tidegate.domain.reference import Reference
from tidegate.domain.signature import fault_of
from tidegate.domain.signature_policy import SignaturePolicy, SignatureRule

_HOLDS_S = 300.0
"""An update asks before its hook and again before its pull; the second time, a yes no older than this counts."""


_SLOW_S = 4.0
_REMEMBERED_S = 120.0


class UnverifiedError(Exception):
    """A release that the policy does not let in, as far as can be told now; a sentence with the remedy."""


class Verifier(Protocol):
    """What asks the registry for signatures and checks them."""

    async def verify(self, rule: SignatureRule, image: Reference, *, hurry: bool = False) -> str:
        """Cosign's JSON about an image, given by digest; in a `hurry` it is given little time. Raises `CosignError`."""


class Signatures:
    """Asks whether a release is signed."""

    def __init__(
        self, policy: SignaturePolicy, verifier: Verifier, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._policy = policy
        self._verifier = verifier
        self._clock = clock
        self._good: dict[str, float] = {}
        self._slow: dict[str, float] = {}

    async def check(self, image: Reference) -> None:
        """Return if an image, given by digest, may be installed. Raises `UnverifiedError`."""
        rules = self._rules(image)
        if not rules or self._is_good(image):
            return
        faults = []
        for rule in rules:
            trouble, why = await self._fault(rule, image)
            if trouble is None:
                self._good[str(image)] = self._clock()
                return
            faults.append(f"{why} (asked for: {rule.signer})")
            if trouble is Trouble.UNSIGNED:  # another rule would come to the same
                break
        raise UnverifiedError(
            f"{_short(image)} was not pulled: {'; '.join(faults)}; {self._asked_by(rules)}{_remedy(trouble)}"
        )

    def check_local(self, image: Reference) -> None:
        """Return if an image of the engine's own, which is not pulled, may be used. Raises `UnverifiedError`."""
        if rules := self._rules(image):
            raise UnverifiedError(
                f"{_short(image)} was not installed: it is taken from the engine (no-pull is set, or it was built "
                f"here), and only what is pulled can be verified; {self._asked_by(rules)}"
                f"push it, sign it and let the agent pull it, or take it out of the rule"
            )

    def _rules(self, image: Reference) -> tuple[SignatureRule, ...]:
        rules = self._policy.rules_for(image)
        if not rules and self._policy.refuse_unlisted:
            raise UnverifiedError(
                f"{_short(image)} was not installed: no rule of {self._policy.source} is about it; add an [[image]] "
                f'for {image.name}, or write unlisted = "allow" at its top, and restart the agent'
            )
        return rules

    async def _fault(self, rule: SignatureRule, image: Reference) -> tuple[Trouble | None, str]:
        """What is wrong under one rule, and how; None if nothing is.

        A look waits for each answer. Where a registry lately took long to give none, it is hurried; of a hurried
        question nothing is concluded, so that the one after it has its whole time again.
        """
        asked_at, registry = self._clock(), image.registry
        hurry = asked_at < self._slow.pop(registry, asked_at)
        try:
            answer = await self._verifier.verify(rule, image, hurry=hurry)
        except CosignError as error:
            now = self._clock()
            if error.trouble is Trouble.UNKNOWN and now - asked_at >= _SLOW_S and not hurry:
                self._slow[registry] = now + _REMEMBERED_S
            return error.trouble, f"{error.trouble.value}, {error.why}"
        why = fault_of(answer, image)
        return (Trouble.BY_OTHERS, why) if why else (None, "")

    def _is_good(self, image: Reference) -> bool:
        since = self._clock() - _HOLDS_S
        self._good = {name: at for name, at in self._good.items() if at > since}
        return str(image) in self._good

    def _asked_by(self, rules: tuple[SignatureRule, ...]) -> str:
        return f"rule {rules[0].repository} of {self._policy.source}; "


def _remedy(trouble: Trouble | None) -> str:
    if trouble is Trouble.UNKNOWN:
        return "it is asked for again at the next look"
    return "sign it with `cosign sign`, under the name that it is pulled by; it is asked for again at the next look"


def _short(image: Reference) -> str:
    digest = f"@{image.digest[:19]}" if image.digest else ""
    return f"{image.familiar_name}{digest}"
