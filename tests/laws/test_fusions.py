"""Laws of every fusion: a true posterior, votes that count, JSON, and no say for the unscored."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest

from tunesmith.core.types import Answer
from tunesmith.reason.chains import Chain, Finding
from tunesmith.reason.shelf import FUSIONS, Fusion

SOURCES = ("weak", "strong")
each_fusion = pytest.mark.parametrize("name", FUSIONS.names())


def chain(conclusion: str | None, source: str = "strong", unscored: str = "", against: bool = False) -> Chain:
    findings = (Finding(check="arithmetic", verdict="against" if against else "for"),)
    return Chain(
        answer=Answer(text=f"It is {conclusion}."),
        source=source,
        conclusion=conclusion,
        unscored=unscored,
        findings=findings,
    )


def questions(count: int = 60) -> list[tuple[Sequence[Chain], str]]:
    """The strong source is right in three of four questions, the weak one in one of four."""
    chance = random.Random(0)
    rows: list[tuple[Sequence[Chain], str]] = []
    for _ in range(count):
        said = [("7" if chance.random() < share else str(chance.randint(1, 6))) for share in (0.25, 0.75)]
        rows.append(
            ([chain(word, source, against=word != "7") for word, source in zip(said, SOURCES, strict=True)], "7")
        )
    return rows


def fusion_of(name: str) -> Fusion:
    fusion: Fusion = FUSIONS.build({"use": name})
    return fusion


def learnt_of(name: str) -> dict[str, Any]:
    return fusion_of(name).learn(questions())


@each_fusion
@pytest.mark.parametrize("taught", [False, True])
def test_the_posterior_is_a_share_and_the_conclusion_its_largest(name: str, taught: bool) -> None:
    learnt = learnt_of(name) if taught else {}
    for chains, _ in questions():
        fused = fusion_of(name).fuse([*chains, chain("9")], learnt)
        assert fused.conclusion is not None and fused.chosen is not None
        assert 0 <= fused.probability <= 1
        assert all(share >= 0 for share in fused.posterior.values()) and sum(fused.posterior.values()) <= 1 + 1e-9
        assert fused.posterior[fused.conclusion] == max(fused.posterior.values())
        assert [*chains, chain("9")][fused.chosen].conclusion == fused.conclusion


@each_fusion
def test_nobody_with_a_say_is_no_conclusion(name: str) -> None:
    for chains in ([], [chain(None, unscored="no-answer")], [chain("1", unscored="loop")], [chain(None)]):
        fused = fusion_of(name).fuse(chains, {})
        assert (fused.conclusion, fused.chosen, fused.probability, fused.posterior) == (None, None, 0.0, {})


@each_fusion
@pytest.mark.parametrize("taught", [False, True])
def test_the_unscored_change_nothing(name: str, taught: bool) -> None:
    learnt = learnt_of(name) if taught else {}
    chains = [chain("1"), chain("2", "weak"), chain("2", "weak")]
    without, with_ = (fusion_of(name).fuse(some, learnt) for some in (chains, [*chains, chain("3", unscored="cut")]))
    assert without.posterior == pytest.approx(with_.posterior) and without.conclusion == with_.conclusion


@each_fusion
@pytest.mark.parametrize("taught", [False, True])
def test_one_more_vote_never_lowers_a_share(name: str, taught: bool) -> None:
    learnt = learnt_of(name) if taught else {}
    before = fusion_of(name).fuse([chain("1"), chain("2")], learnt)
    after = fusion_of(name).fuse([chain("1"), chain("2"), chain("1")], learnt)
    assert after.posterior["1"] > before.posterior["1"]


@each_fusion
def test_what_is_learnt_is_json_and_the_same_again(name: str) -> None:
    learnt = learnt_of(name)
    stored = json.loads(json.dumps(learnt, allow_nan=False))
    assert stored == learnt_of(name)
    for chains, _ in questions(10):
        assert fusion_of(name).fuse(chains, stored) == fusion_of(name).fuse(chains, learnt)


@each_fusion
def test_nothing_to_learn_from_is_nothing_learnt(name: str) -> None:
    assert fusion_of(name).learn([]) == {}
    fused = fusion_of(name).fuse([chain("1", "unheard of")], learnt_of(name))
    assert fused.conclusion == "1"


@each_fusion
def test_the_source_with_the_better_record_wins_where_records_count(name: str) -> None:
    chains = [chain("1", "weak", against=True), chain("2", "strong", against=True)]
    expected = "1" if name == "majority" else "2"  # a tie goes to the first drawn
    assert fusion_of(name).fuse(chains, learnt_of(name)).conclusion == expected
