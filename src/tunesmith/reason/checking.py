"""Checks at work: those that need a model are given one, and each chain gets its findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from tunesmith.core.protocols import Answerer, Conversation
from tunesmith.reason.chains import Chain, Finding, Verdict
from tunesmith.reason.shelf import Check


@runtime_checkable
class Asks(Protocol):
    """A check that asks a model. As it comes from the shelf it has none, and is silent."""

    def asking(self, answerer: Answerer) -> Check:
        """The same check with a model to ask."""
        ...


def with_model(checks: Sequence[Check], answerer: Answerer) -> list[Check]:
    """The checks, those that ask a model bound to `answerer` (the expert itself, or a stronger judge)."""
    return [check.asking(answerer) if isinstance(check, Asks) else check for check in checks]


def checked(checks: Sequence[Check], question: Conversation, chain: Chain) -> Chain:
    """The chain with what the checks found in it, check by check; one that is unscored stays as it is."""
    if chain.unscored:
        return chain
    found: list[Finding] = [finding for check in checks for finding in check.look(question, chain)]
    return chain.model_copy(update={"findings": tuple(found)})


def verdicts(chain: Chain) -> dict[str, Verdict]:
    """Check -> what it says of the whole chain: against if one finding is, else for if one is, else silent."""
    said: dict[str, Verdict] = {}
    rank: list[Verdict] = ["silent", "for", "against"]
    for finding in chain.findings:
        before = said.get(finding.check, "silent")
        said[finding.check] = max(before, finding.verdict, key=rank.index)
    return said
