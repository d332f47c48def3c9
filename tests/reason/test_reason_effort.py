"""Stored chains answered by fewer of them, each question by what other questions taught."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reason_fakes import Votes, asked
from tunesmith.core.types import Answer, Usage
from tunesmith.reason.chains import Chain, Fused
from tunesmith.reason.effort import effort
from tunesmith.reason.line import Line
from tunesmith.reason.paths.adaptive import Adaptive
from tunesmith.reason.paths.self_consistency import SelfConsistency
from tunesmith.reason.replay import Question


def question(number: int, said: Sequence[str], right: str) -> Question:
    chains = [Chain(answer=Answer(text=one, usage=Usage(answer_tokens=10)), source="a", conclusion=one) for one in said]
    return Question(id=f"q{number}", conversation=tuple(asked("?")), chains=tuple(chains), right=right)


def test_votes_of_the_first_chains_by_hand() -> None:
    """Said 1, 2, 2: one chain says 1, two say 1 (the first drawn of equals), three say 2."""
    found = effort(Line(SelfConsistency(draws=3)), [question(0, "122", "2"), question(1, "333", "3")])
    assert [(p["chains"], p["right"], p["tokens"]) for p in found["ways"]["vote"]] == [
        (1, [False, True], [10, 10]),
        (2, [False, True], [20, 20]),
        (3, [True, True], [30, 30]),
    ]
    assert found["rows"] == 2 and found["settled"] == {} and set(found["ways"]) == {"vote"}


class Remembers(Votes):
    """Knows the right answers that it was taught, and says the first one that it was not taught."""

    def learn(self, questions: Sequence[tuple[Sequence[Chain], str]]) -> dict[str, Any]:
        return {"seen": sorted(right for _, right in questions)}

    def fuse(self, chains: Sequence[Chain], learnt: dict[str, Any]) -> Fused:
        new = [chain.conclusion for chain in chains if chain.conclusion not in learnt["seen"]]
        return Fused(conclusion=new[0] if new else None, probability=0.5, posterior={}, chosen=0)


def test_no_question_is_answered_by_a_fusion_that_saw_its_answer() -> None:
    """Each answer is one of its own, so a fusion that saw it would not say it."""
    rows = [question(n, [f"wrong {n}", f"right {n}"][::-1], f"right {n}") for n in range(11)]
    found = effort(Line(SelfConsistency(draws=2), fusion=Remembers()), rows)
    assert [p["right"] for p in found["ways"]["line"]] == [[True] * 11] * 2


def test_what_is_settled_early_is_compared_with_all_chains() -> None:
    """40 questions that agree from the first chain on, 2 whose first chains mislead; at 20 % they may differ."""
    easy = [question(n, "1" * 8, "1") for n in range(40)]
    torn = [question(40 + n, "22" + "1" * 6, "1") for n in range(2)]
    found = effort(Line(Adaptive(at_most=8, differ=0.2), fusion=Votes()), [*easy, *torn])
    (point,) = found["ways"]["settled"]
    assert found["settled"] == {"differ": 2}
    assert point["chains"] == 2 and sum(point["right"]) == 40
    assert found["ways"]["vote"][-1]["right"] == [True] * 42
