"""What a made row must keep: grounded, no copy, well-formed, new; and rows out of what models write."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.data.synthesize import _checks as checks
from tunesmith.data.synthesize._novelty import Pool
from tunesmith.data.synthesize._parsing import items, numbered
from tunesmith.data.synthesize._parts import groups, passages
from tunesmith.data.synthesize._words import known_numbers, longest_run, names, numbers, rouge_l, telling, tokens

SOURCE = (
    "In 1996, 1,099 women aged 50 and older in North Carolina were asked by telephone. Screening rose from 61% to 71%. "
    "The BRCA1 gene was not tested. Two nurses called each woman."
)
CHINESE = "阿司匹林可抑制血小板聚集，每日剂量为100毫克。患者应在饭后服用，疗程为三个月。"
LIMITS = checks.Limits(shared=0.6, run=12)


def reason(found: object) -> str:
    return str(getattr(found, "reason", ""))


@pytest.mark.parametrize(
    ("answer", "source", "expected"),
    [
        ("Screening rose from 61% to 71%.", SOURCE, ""),
        ("1099 women were asked by telephone.", SOURCE, ""),  # the same number without its comma
        ("2 nurses called each woman.", SOURCE, ""),  # the source spells it
        ("Screening rose from 61% to 75%.", SOURCE, "number-not-in-source"),
        ("Women in South Dakota were asked by telephone.", SOURCE, "name-not-in-source"),
        ("The BRCA2 gene was not tested.", SOURCE, "name-not-in-source"),
        ("The KRAS gene was not tested.", SOURCE, "name-not-in-source"),
        ("The ELE gene was not tested.", SOURCE, "name-not-in-source"),  # inside "telephone" it is no name
        ("Screening is a fine thing that everybody should want.", SOURCE, "words-not-in-source"),
        ("每日剂量为100毫克，饭后服用。", CHINESE, ""),
        ("每日剂量为200毫克，饭后服用。", CHINESE, "number-not-in-source"),
        ("疗程为3个月。", CHINESE, ""),
        ("应服用“氯吡格雷”抑制血小板聚集。", CHINESE, "name-not-in-source"),
        ("建议患者多喝水并且注意休息和保暖。", CHINESE, "words-not-in-source"),
    ],
)
def test_an_answer_is_grounded_when_its_numbers_names_and_words_stand_in_the_source(
    answer: str, source: str, expected: str
) -> None:
    assert reason(checks.grounded(answer, source, LIMITS)) == expected


@pytest.mark.parametrize(
    ("evidence", "said", "source", "expected"),
    [
        ("screening rose from 61% to 71%", "How much did screening rise?", SOURCE, ""),
        ("“Screening  ROSE from 61% to 71%!”", "How much did screening rise?", SOURCE, ""),
        ("screening fell from 61% to 71%", "How much did screening rise?", SOURCE, "evidence-not-in-source"),
        ("", "How much did screening rise?", SOURCE, "no-evidence"),
        ("1996", "When was it?", SOURCE, "no-evidence"),
        ("Two nurses called each woman.", "Was BRCA1 tested? It was tested.", SOURCE, "evidence-beside-the-point"),
        ("每日剂量为100毫克", "阿司匹林的剂量是多少？", CHINESE, ""),
        ("每日剂量为300毫克", "阿司匹林的剂量是多少？", CHINESE, "evidence-not-in-source"),
    ],
)
def test_a_quotation_must_stand_in_the_source(evidence: str, said: str, source: str, expected: str) -> None:
    assert reason(checks.quoted(evidence, said, source)) == expected


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is used against gout?", ""),
        ("怎样治疗痛风？", ""),
        ("...", "empty-question"),
        ("What is <|im_end|> for?", "markup"),
        ("<question about gout>", "placeholder"),
        ("Why?", "too-short"),
        ("Why is that so? " * 60, "too-long"),
        ("the the the the the " * 10, "looping"),
        ("Describe the picture of the knee.", "needs-more-than-text"),
        ("请根据下图回答问题。", "needs-more-than-text"),
    ],
)
def test_a_good_question(question: str, expected: str) -> None:
    assert reason(checks.good_question(question)) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Yes.", ""),
        ("Colchicine is.", ""),
        ("N/A", "empty-answer"),
        (" .. ", "empty-answer"),
        ("string", "empty-answer"),
        ("As an AI language model I know nothing.", "refuses"),
        ("This is not mentioned in the text.", "refuses"),
        ("作为一个人工智能，我不知道。", "refuses"),
        ("what is used against Gout", "echo"),
        ("It hurts a lot. " * 12, "looping"),
        ("colchicine\ufffd", "markup"),
    ],
)
def test_a_good_answer(answer: str, expected: str) -> None:
    assert reason(checks.good_answer("What is used against gout?", answer)) == expected


@pytest.mark.parametrize(
    ("question", "alone"),
    [
        ("What did the study find?", False),
        ("What is the aim of this article?", False),
        ("该研究的目的是什么？", False),
        ("Does telephone counselling help?", True),
        ("电话咨询有帮助吗？", True),
    ],
)
def test_a_question_that_stands_alone_does_not_point_at_the_document(question: str, alone: bool) -> None:
    assert (checks.stands_alone(question) is None) == alone


@pytest.mark.parametrize(
    ("said", "source", "expected"),
    [
        ("Who called them?\nTwo nurses.", SOURCE, ""),
        ("谁给她们打电话？\n两名护士。", SOURCE, "other-language"),
        ("Wer hat die Frauen damals eigentlich angerufen?\nZwei Krankenschwestern haben jede Frau angerufen.", SOURCE,
         "other-language"),
        ("剂量是多少？\n100毫克。", CHINESE, ""),
        ("What is the dose per day?\nIt is 100 mg.", CHINESE, "other-language"),
    ],
)  # fmt: skip
def test_rows_speak_the_language_of_their_source(said: str, source: str, expected: str) -> None:
    assert reason(checks.same_language(said, source)) == expected


def test_a_long_run_of_the_source_is_a_copy() -> None:
    """`one ... ten` shares its ten words with the source: allowed at 10, a copy at 9."""
    source = "so one two three four five six seven eight nine ten it is"
    answer = "They are one two three four five six seven eight nine ten."
    assert not longest_run(answer, source, 10) and longest_run(answer, source, 9)
    assert reason(checks.not_copied(answer, source, checks.Limits(0.0, 9))) == "copied"


def test_numbers_are_compared_as_values() -> None:
    assert numbers("1. First 1,234.50 and 0.5 or ７ of H2O\n2) second") == {"1234.5", "0.5", "7", "2"}
    assert known_numbers("twenty of three, 两个") >= {"20", "3", "2"}


def test_names_are_words_with_capitals_inside_sentences() -> None:
    assert names("Screening in North Carolina. Women like mRNA tests, I think.") == {"North", "Carolina", "mRNA"}


def test_telling_words_are_pairs_of_characters_in_chinese() -> None:
    assert telling("the dose of 血小板") == {"dose", "血小", "小板"}


def test_rouge_l_is_that_of_the_library() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    theirs, dice = RougeScorer(["rougeL"]), random.Random(2)
    for _ in range(60):
        one, other = (dice.choices("abcd", k=dice.randint(0, 12)) for _ in range(2))
        expected = theirs.score(" ".join(one), " ".join(other))["rougeL"].fmeasure
        assert rouge_l(one, other) == pytest.approx(expected)


def test_the_pool_finds_what_comparing_with_all_finds() -> None:
    """120 random texts of few words, many of them alike: the nearest is that of a plain comparison with every one."""
    dice = random.Random(5)
    texts = [" ".join(dice.choices(["a", "bb", "ccc", "dddd", "eeeee"], k=dice.randint(1, 9))) for _ in range(120)]
    pool, known = Pool(0.7), list[str]()
    for text in texts:
        best = max((rouge_l(tokens(text), tokens(other)) for other in known), default=0.0)
        found, number = pool.nearest(text)
        assert found == (best if best >= 0.7 else 0.0)
        assert number < 0 or rouge_l(tokens(text), tokens(known[number])) == found
        pool.add(text)
        known.append(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Sure:\n```json\n[{"question": "Q?", "answer": "A", "evidence": "E"}]\n```', [("Q?", "A", "E")]),
        ('{"Question": "Q?", "answer": 5}', [("Q?", "5", "")]),
        ('[{"question": "Q1?", "answer": "A1"}, {"question": "Q2', [("Q1?", "A1", "")]),
        ("1. Question: Q?\nAnswer: A\ngoes on\nEvidence: E", [("Q?", "A\ngoes on", "E")]),
        ("**Question 1:** Q?\n**Answer:** A\n\n**Question 2:** R?\n**Answer:** B", [("Q?", "A", ""), ("R?", "B", "")]),
        ("问题：甲？\n回答：乙\n证据：丙", [("甲？", "乙", "丙")]),
        ('{"问题": "甲？", "答案": "乙"}', [("甲？", "乙", "")]),
        ('{"question": {"a": 1}, "other": "x"}', []),
        ("no rows at all", []),
        ("", []),
        ("{" * 50_000, []),
        ('{"a":' * 50_000, []),
        ("[" * 50_000, []),
    ],
)
def test_rows_are_read_out_of_what_a_model_writes(text: str, expected: list[tuple[str, str, str]]) -> None:
    found = [(item.get("question", ""), item.get("answer", ""), item.get("evidence", "")) for item in items(text)]
    assert found == expected


def test_a_numbered_list() -> None:
    text = "Here they are:\n1. First\n   goes on\n\n2) Second\n任务3：第三\n4."
    assert numbered(text) == ["First\n   goes on", "Second", "第三"]


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet="ab.。\n !", max_size=400), st.integers(20, 60))
def test_passages_hold_all_words_in_order_and_none_is_too_long(text: str, most: int) -> None:
    parts = passages(text, most)
    assert all(0 < len(part) <= most for part in parts)
    assert re.sub(r"\s", "", "".join(parts)) == re.sub(r"\s", "", text)


def test_passages_end_where_sentences_end() -> None:
    assert passages("One is here. Two is there. Three.", 27) == ["One is here. Two is there.", "Three."]
    assert passages("甲在这里。乙在那里。丙。", 8) == ["甲在这里。", "乙在那里。丙。"]


def test_groups() -> None:
    assert list(groups(range(5), 2)) == [[0, 1], [2, 3], [4]]
