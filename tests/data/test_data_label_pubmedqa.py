"""The figures of docs/labelling.md: simulated experts, rules and planted errors on 500 real PubMedQA rows.

Prints what it measures: python -m pytest -m slow -s tests/data/test_data_label_pubmedqa.py
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.core.types import Example, Message
from tunesmith.data.label import functions, review, weak
from tunesmith.data.label.agreement import agreement
from tunesmith.data.label.merge import merge

pytestmark = pytest.mark.slow

FILE = Path(__file__).resolve().parents[3] / "shared" / "data" / "pubmedqa" / "train.jsonl"
LABELS = ("yes", "no", "maybe")
ERRORS = (0.08, 0.15, 0.30)
"""How often each simulated expert errs on rows of yes and no; on rows of maybe twice as often."""
_VERBS = "differ|associated|correlat|improve|affect|predict|change|influence|increase|reduce"
_COMPARED = "higher|lower|more|less|greater|better|increased|decreased|reduced|improved|associated|correlated"
RULES = [
    (
        "no_difference",
        "no",
        r"\bno (statistically )?(significant )?(difference|association|correlation|effect|relation)",
    ),
    ("not_verb", "no", rf"\b(did|does|was|were|is|are) not (significantly )?({_VERBS})"),
    ("not_significant", "no", r"\b(not|non-?)\s?(statistically )?significant"),
    ("significantly_more", "yes", rf"\bsignificantly ({_COMPARED})"),
    ("small_p", "yes", r"\bp\s?(<|=|≤)\s?0?\.0"),
    ("associated", "yes", r"\b(was|were) (strongly |independently |significantly )?(associated|correlated) with"),
    ("effective", "yes", r"\b(effective|improved|beneficial|successful|predict(s|ed|or))\b"),
    ("hedged", "maybe", r"\b(however|although|trend toward|borderline|unclear|conflicting|inconclusive)\b"),
]
"""Written before any of them was tried, from what such abstracts say; none was changed afterwards."""


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    if not FILE.exists():
        pytest.skip(f"needs the PubMedQA rows at {FILE}")
    return [json.loads(line) for line in FILE.read_text("utf-8").split("\n") if line]


@pytest.fixture(scope="module")
def truth(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {row["id"]: row["final_decision"] for row in rows}


def texts(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {row["id"]: "\n".join([row["QUESTION"], *row["CONTEXTS"]]) for row in rows}


def expert(true: str, error: float, chance: random.Random) -> str:
    """Who errs says maybe in three of five cases; who errs on a maybe says yes or no alike."""
    if chance.random() >= (min(2 * error, 1.0) if true == "maybe" else error):
        return true
    if true == "maybe":
        return chance.choice(["yes", "no"])
    return "maybe" if chance.random() < 0.6 else "no" if true == "yes" else "yes"


def share(said: Mapping[str, str | None], truth: Mapping[str, str]) -> float:
    return sum(label == truth[row] for row, label in said.items()) / len(said)


def test_three_simulated_experts(truth: dict[str, str]) -> None:
    found = []
    for seed in range(10):
        chance = random.Random(seed)
        votes = {row: {f"e{m}": expert(t, e, chance) for m, e in enumerate(ERRORS)} for row, t in truth.items()}
        alpha = agreement(votes, LABELS, resamples=200 if seed == 0 else 2, seed=0).alpha
        merged = {m: merge(votes, LABELS, method=m) for m in ("majority", "dawid_skene")}
        right = {m: share({r: x.label for r, x in said.items()}, truth) for m, said in merged.items()}
        sure = {r: x.label for r, x in merged["dawid_skene"].items() if x.probability >= 0.8}
        ties = sum(x.label is None for x in merged["majority"].values())
        best = share({row: given["e0"] for row, given in votes.items()}, truth)
        found.append(
            [alpha.value, right["majority"], right["dawid_skene"], best, len(sure) / 500, share(sure, truth), ties]
        )
        if seed == 0:
            print(f"\nalpha of seed 0: {alpha.value:.3f} ({alpha.low:.3f} to {alpha.high:.3f})")
    means, spread = np.mean(np.array(found, dtype=float), axis=0), np.std(np.array(found, dtype=float), axis=0)
    for name, mean, sd in zip(
        ("alpha", "majority", "dawid_skene", "best expert", "share sure", "right where sure", "ties"),
        means,
        spread,
        strict=True,
    ):
        print(f"{name}: {mean:.3f} (sd {sd:.3f} over 10 simulations)")
    assert means[2] > means[1]


def test_the_two_people_who_labelled_pubmedqa(rows: list[dict[str, Any]]) -> None:
    """One saw the conclusion of the abstract, the other did not; the set's label is the first one's, discussed."""
    votes = {r["id"]: {"with": r["reasoning_free_pred"], "without": r["reasoning_required_pred"]} for r in rows}
    found = agreement(votes, LABELS, resamples=200)
    print(f"\nreal annotators: alpha {found.alpha}, kappa {found.kappas[0].estimate}, unanimous {found.unanimous}")
    assert found.alpha.value is not None and found.alpha.value < 0.8


def test_rules_on_the_same_rows(rows: list[dict[str, Any]], truth: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("snorkel", reason="needs snorkel: pip install 'tunesmith[labels]'")
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps([{"name": n, "label": label, "regex": f"(?i){r}"} for n, label, r in RULES]), "utf-8")
    made = functions.read_rules(file, LABELS)
    examples = {
        row: Example(id=row, messages=(Message(role="user", content=text),)) for row, text in texts(rows).items()
    }
    votes = functions.apply(made, examples, LABELS)
    print()
    for each in weak.reports(votes, LABELS, truth):
        print(f"{each.name}: {each.coverage:.2f} {each.overlap:.2f} {each.conflict:.2f} {each.accuracy:.2f}")
    most = Counter(truth.values()).most_common(1)[0]
    print(f"always '{most[0]}': {most[1] / 500:.3f}")
    for model in ("majority", "dawid_skene", "snorkel"):
        shares_NK = weak.probabilities(votes.votes_NM, 3, model=model)
        known = {row: n for n, row in enumerate(votes.rows) if not np.isnan(shares_NK[n]).any()}
        said = {row: LABELS[int(shares_NK[n].argmax())] for row, n in known.items()}
        sure = {row: label for row, label in said.items() if shares_NK[known[row]].max() >= 0.9}
        print(
            f"{model}: {len(said)} covered, {share(said, truth):.3f} right; at 0.9 or above {len(sure)}, "
            f"{share(sure, truth) if sure else float('nan'):.3f} right"
        )


def test_planted_errors(rows: list[dict[str, Any]], truth: dict[str, str]) -> None:
    """A tenth of the labels is exchanged for another at random; three draws."""
    pytest.importorskip("cleanlab", reason="needs cleanlab: pip install 'tunesmith[labels]'")
    text = texts(rows)
    for seed in range(3):
        chance = random.Random(seed)
        wrong = set(chance.sample(list(truth), 50))
        given = {
            row: chance.choice([x for x in LABELS if x != label]) if row in wrong else label
            for row, label in truth.items()
        }
        shares_NK = review.out_of_sample([text[r] for r in given], list(given.values()), LABELS, list(given))
        held_out = np.mean([LABELS[int(k)] == truth[r] for k, r in zip(shares_NK.argmax(axis=1), given, strict=True)])
        found = [each.row for each in review.suspicious(list(given), list(given.values()), shares_NK, LABELS)]
        hits = len(wrong & set(found))
        first = len(wrong & set(found[:50])) / 50
        print(
            f"\nseed {seed}: model right on {held_out:.3f}; flagged {len(found)}, "
            f"precision {hits / max(len(found), 1):.2f}, recall {hits / 50:.2f}, "
            f"precision of the first 50 {first:.2f} (by chance 0.10)"
        )
        assert found
