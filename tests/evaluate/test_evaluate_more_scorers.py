"""The scorers of numbers, lists, procedures, forms and citations: by hand, and against sacrebleu and scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluate_rows import answered, example, scored

from tunesmith.core.protocols import Scorer
from tunesmith.core.types import Answer, Score, Usage
from tunesmith.evaluate.metrics.brier import Brier
from tunesmith.evaluate.metrics.chrf import Chrf
from tunesmith.evaluate.metrics.cost_per_answer import CostPerAnswer
from tunesmith.evaluate.metrics.mrr import Mrr
from tunesmith.evaluate.metrics.tokens_per_answer import TokensPerAnswer
from tunesmith.evaluate.rows import Row
from tunesmith.evaluate.scorers.citation import Citation
from tunesmith.evaluate.scorers.ndcg import Ndcg
from tunesmith.evaluate.scorers.numeric import Numeric, last_number
from tunesmith.evaluate.scorers.process import Process, steps
from tunesmith.evaluate.scorers.reciprocal_rank import ReciprocalRank
from tunesmith.evaluate.scorers.term_use import TermUse
from tunesmith.evaluate.scorers.valid_json import ValidJson


def judged(scorer: Scorer, reference: str, answer: str) -> float | str:
    """The value, or why there is none."""
    found = scorer.score(example(1, reference), Answer(text=answer))
    return found.unscored if found.value is None else found.value


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7),
        ("so 3 + 4 = 7.", 7),
        ("-1,250.50 EUR", -1250.5),
        ("2e-3", 0.002),
        ("12.5 %", 0.125),
        ("12.5％", 0.125),
        ("约3万元", 30000),
        ("\u22125", -5),
        (".5", 0.5),
        ("1,5", 5),  # a decimal comma is not guessed: two numbers, the last counts
        ("none", None),
        ("9" * 400, None),
    ],
)
def test_the_last_number_is_read(text: str, number: float | None) -> None:
    found = last_number(text)
    assert found == (number if number is None else pytest.approx(number))


def test_numbers_are_compared_within_the_tolerance() -> None:
    """Two per cent of 50 is 1: 51 is right, 51.1 is not. Nothing is compared with a reference without a number."""
    assert judged(Numeric(relative=0.02), "50", "about 51") == 1.0
    assert judged(Numeric(relative=0.02), "50", "about 51.1") == 0.0
    assert judged(Numeric(absolute=0.5), "50", "50.4") == 1.0
    assert judged(Numeric(), "50", "fifty") == 0.0
    assert judged(Numeric(), "fifty", "50") == "no-number-in-reference"
    assert judged(Numeric(percent=False), "12.5", "12.5 %") == 1.0


def test_chrf_equals_sacrebleu() -> None:
    import sacrebleu

    pairs = [("the cat sat on the mat", "the cat sat on a mat"), ("今天天气很好", "今天天气不好"), ("a", "zz")]
    wanted = [sacrebleu.sentence_chrf(answer, [reference]).score / 100 for reference, answer in pairs]
    rows = scored(pairs)
    assert [row.scores["chrf"].value for row in rows] == pytest.approx(wanted)
    assert Chrf().measure(rows).value == pytest.approx(float(np.mean(wanted)))


SCHEMA: dict[str, Any] = {"type": "object", "required": ["risk"], "properties": {"risk": {"enum": ["good", "bad"]}}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"risk": "good"}', 1.0),
        ('```json\n{"risk": "bad"}\n```', 1.0),
        ('Sure! {"risk": "good"}', 0.0),
        ('{"risk": "fair"}', 0.0),
        ("{}", 0.0),
        ('{"risk": NaN}', 0.0),
        ("[" * 100_000, 0.0),
        ("", 0.0),
    ],
)
def test_json_is_valid_only_as_the_schema_says(text: str, value: float) -> None:
    assert judged(ValidJson(json_schema=SCHEMA), "x", text) == value


def test_a_schema_that_is_none_leaves_the_answer_unscored() -> None:
    assert judged(ValidJson(json_schema={"type": "nonsense"}), "x", "{}") == "schema-invalid"
    remote = judged(ValidJson(json_schema={"$ref": "https://example.org/schema"}), "x", "{}")
    assert isinstance(remote, str) and remote.startswith("schema-unusable")
    assert judged(ValidJson(), "x", "[1]") == 1.0


def test_citations_by_hand() -> None:
    """Wanted 1 and 3; cited 1, 2, 4: one right, F1 = 2 * 1 / (2 + 3) = 0.4."""
    assert judged(Citation(), "yes [1, 3]", "yes [1] and [2]【4】") == pytest.approx(0.4)
    assert judged(Citation(), "yes [Doc-7]", "yes [doc-7] [doc-7]") == 1.0
    assert judged(Citation(), "yes [1]", "yes") == 0.0
    assert judged(Citation(), "yes", "yes [1]") == "no-citation-in-reference"


def test_terms_are_used_rightly_where_the_reference_or_the_question_has_them() -> None:
    """Used: fever (in the reference), cough (nowhere), "sugar disease" (not wanted): 1 of 3."""
    scorer = TermUse(terms=("fever", "cough", "rash"), instead={"sugar disease": "diabetes"})
    assert judged(scorer, "Fever and rash.", "fever, cough and sugar disease") == pytest.approx(1 / 3)
    assert judged(scorer, "Fever.", "nothing") == "no-terms-in-answer"


REFERENCE = "1. Switch off the pump.\n2. Close the inlet valve.\n3. Drain the tank.\n4. Lock the panel."


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (REFERENCE, 1.0),
        ("First:\n- switch off the pump\n- close the inlet valve now\n- lock the panel", 0.75),
        ("1) Close the inlet valve 2) x\n2. Switch off the pump.\n3. Drain the tank.\n4. Lock the panel.", 0.75),
        ("Switch off the pump. Close the inlet valve. Drain the tank. Lock the panel.", 1.0),
        ("Call somebody.", 0.0),
        ("", 0.0),
    ],
)
def test_steps_count_where_they_are_present_and_in_order(answer: str, value: float) -> None:
    """Three of four steps; two that changed places cost one; sentences are steps where there is no list."""
    assert judged(Process(), REFERENCE, answer) == pytest.approx(value)


def test_chinese_steps() -> None:
    """第一步 ... 第三步: the second is missing, 2 of 3."""
    assert steps("第一步：关闭水泵。第二步：关闭阀门。") == ["关闭水泵。", "关闭阀门。"]
    assert judged(Process(), "1、关闭水泵\n2、关闭阀门\n3、排空水箱", "1、关闭水泵\n2、排空水箱") == pytest.approx(
        2 / 3
    )


def test_ranking_equals_scikit_learn_and_figures_by_hand() -> None:
    """Grades 3, 2, 0 in the order b (2), a (3), c (0): DCG 2 + 3 / log2(3), ideal 3 + 2 / log2(3)."""
    from sklearn.metrics import label_ranking_average_precision_score, ndcg_score

    reference = "a | 3\nb | 2\nc | 0"
    wanted = (2 + 3 / np.log2(3)) / (3 + 2 / np.log2(3))
    assert judged(Ndcg(), reference, "1. b\n2. a\n3. c") == pytest.approx(wanted)
    assert wanted == pytest.approx(float(ndcg_score([[3, 2, 0]], [[2, 3, 1]])))
    assert judged(Ndcg(first=1), reference, "b\na\nc") == pytest.approx(2 / 3)
    assert judged(Ndcg(), reference, "x\ny") == 0.0
    assert judged(ReciprocalRank(), "a", "x\ny\nA.") == pytest.approx(1 / 3)
    found = Mrr().measure(scored([("a", "a\nb"), ("a", "b\na"), ("a", "b\nc\na")])).value
    listed = label_ranking_average_precision_score([[1, 0, 0]] * 3, [[3, 2, 1], [2, 3, 1], [1, 3, 2]])
    assert found == pytest.approx(float(listed)) == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)


def test_brier_equals_scikit_learn() -> None:
    from sklearn.metrics import brier_score_loss

    right, sure = [1.0, 0.0, 1.0, 0.0], [0.9, 0.8, 0.4, 0.1]
    rows = [
        Row(example(n, "x"), answered("x", confidence=c), {"label": Score(value=r)})
        for n, (r, c) in enumerate(zip(right, sure, strict=True))
    ]
    assert Brier().measure(rows).value == pytest.approx(float(brier_score_loss(right, sure)))


def test_tokens_and_cost_by_hand() -> None:
    """100 prompt, 20 answer and 30 reasoning tokens in 36 s: 50 tokens; 100 * 1 + 50 * 4 = 300 millionths, and 0.01 h
    at 2 an hour: 0.0203. Without a price there is no cost, and not one of 0."""
    usage = Usage(prompt_tokens=100, answer_tokens=20, reasoning_tokens=30, seconds=36)
    rows = [Row(example(1, "x"), Answer(text="x", usage=usage)), Row(example(2, "x"), Answer(text="x"))]
    tokens = TokensPerAnswer().measure(rows)
    assert (tokens.value, tokens.n, tokens.unscored) == (50.0, 1, 1)
    assert CostPerAnswer(prompt=1, answer=4, hour=2).measure(rows).value == pytest.approx(0.0203)
    assert CostPerAnswer().measure(rows).value is None


def test_similarity_is_the_cosine_of_an_encoder(tmp_path: Path) -> None:
    """A tiny encoder with random weights: a text is as near as can be to itself, and an empty answer is not near."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel

    from tunesmith.evaluate.scorers.similarity import Similarity

    torch.manual_seed(0)
    words = ["[UNK]", "loan", "rate", "fever"]
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=16, **shape)).save_pretrained(tmp_path)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    scorer = Similarity(encoder=str(tmp_path))
    assert judged(scorer, "loan rate", "loan rate") == pytest.approx(1.0, abs=1e-5)
    other = judged(scorer, "loan rate", "fever")
    assert isinstance(other, float) and 0.0 <= other < 1.0
    assert judged(scorer, "loan", " ") == 0.0
    assert judged(scorer, " ", "loan") == "no-reference"
    assert scorer.score(example(1, "loan"), Answer(text="", stop="error")).unscored == "answer-error"
