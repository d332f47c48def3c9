"""How right the extractors are, on sentences that were annotated before any rule was written.

The floors are what was measured minus a small margin; the figures stand in docs/knowledge.md. They change when a
parser or its model changes, and then this file tells by how much.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from extract_gold import Agreement, Gold, agreement, exact, key, load, relaxed

from tunesmith.core.errors import UserError
from tunesmith.core.types import Triple
from tunesmith.data.extract.dependency import Dependency
from tunesmith.data.knowledge.normal import phrase_key

DOMAINS = ("medical", "manufacturing", "finance")


@cache
def reader(language: str) -> Callable[[str], list[Triple]]:
    """The parser-backed reader; the test is skipped where its libraries or model are not at hand."""
    try:
        return Dependency(language="zh" if language == "zh" else "en").open(Path())
    except UserError as error:
        pytest.skip(f"needs the extra 'extract' (and once the network): {error}")


def chosen(language: str, half: str, domain: str = "") -> list[Gold]:
    return [gold for gold in load(language) if gold.half == half and domain in ("", gold.domain)]


def test_the_gold_set_is_as_large_and_mixed_as_it_claims() -> None:
    """75 sentences a language, 25 a domain, halves of 39 and 36; at least 15 without a triple, 20 denials."""
    golds = [*load("en"), *load("zh")]
    assert Counter((gold.language, gold.domain) for gold in golds) == {
        (language, domain): 25 for language in ("en", "zh") for domain in DOMAINS
    }
    assert Counter(gold.half for gold in golds) == {"dev": 78, "held": 72}
    assert len({gold.id for gold in golds}) == len({gold.text for gold in golds}) == 150
    assert sum(not gold.triples for gold in golds) >= 15
    assert sum(triple[3] for gold in golds for triple in gold.triples) >= 20


def test_gold_phrases_stand_in_their_sentences() -> None:
    """Every word of a gold subject and object is a word of the sentence: nobody annotated from memory."""
    for gold in [*load("en"), *load("zh")]:
        text = phrase_key(gold.text)
        for subject, _, thing, _ in gold.triples:
            parts = [*subject.split(), *thing.split()] if gold.language == "en" else [subject, thing]
            assert all(part.replace(" ", "") in text.replace(" ", "") for part in parts), gold.id


FLOORS = {
    ("en", "dev"): (0.81, 0.78, 0.86),
    ("en", "held"): (0.85, 0.83, 0.89),
    ("zh", "dev"): (0.92, 0.90, 0.93),
    ("zh", "held"): (0.83, 0.77, 0.90),
}
"""(language, half) -> least precision, recall (exact) and F1 (relaxed)."""


@pytest.mark.parametrize(("language", "half"), FLOORS)
def test_agreement_with_gold(language: str, half: str) -> None:
    golds, read = chosen(language, half), reader(language)
    strict, loose = agreement(read, golds, exact), agreement(read, golds, relaxed)
    told = f"exact P {strict.precision:.3f} R {strict.recall:.3f} F1 {strict.f1:.3f}, relaxed F1 {loose.f1:.3f}"
    precision, recall, f1 = FLOORS[language, half]
    assert strict.precision >= precision and strict.recall >= recall and loose.f1 >= f1, told


DOMAIN_FLOORS = {
    ("en", "medical"): 0.83,
    ("en", "manufacturing"): 0.76,
    ("en", "finance"): 0.85,
    ("zh", "medical"): 0.88,
    ("zh", "manufacturing"): 0.87,
    ("zh", "finance"): 0.84,
}
"""(language, domain) -> least exact F1 over both halves."""


@pytest.mark.parametrize(("language", "domain"), DOMAIN_FLOORS)
def test_agreement_by_domain(language: str, domain: str) -> None:
    golds = [gold for gold in load(language) if gold.domain == domain]
    assert agreement(reader(language), golds, exact).f1 >= DOMAIN_FLOORS[language, domain]


def test_the_scores_themselves() -> None:
    """Two found, three wanted, one alike: precision 1/2, recall 1/3, F1 2/5; relaxed takes both."""
    gold = [("a", "cause", "b", False), ("a", "cause", "high blood pressure", False), ("c", "be", "d", True)]
    found = [("a", "cause", "b", False), ("a", "cause", "blood pressure", False)]
    assert exact(found, gold) == Agreement(2, 3, 1)
    assert exact(found, gold).f1 == 2 / 5
    assert relaxed(found, gold) == Agreement(2, 3, 2)
    assert relaxed([("c", "be", "d", False)], gold) == Agreement(1, 3, 0)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_hedges_are_noticed(language: str) -> None:
    """Of the triples that are right, at least nine tenths are hedged exactly where gold says so."""
    read, right = reader(language), Counter[bool]()
    for gold in load(language):
        for triple in read(gold.text):
            if key(triple) in gold.triples:
                right[triple.hedged == (key(triple) in gold.hedged)] += 1
    assert right[True] >= 0.9 * right.total()
