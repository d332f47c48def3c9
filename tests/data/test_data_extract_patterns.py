"""Patterns of a domain: sentences, records, and files that people write themselves."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal

import pytest

from tunesmith.core.errors import UserError
from tunesmith.core.types import Example, Message, Triple
from tunesmith.data.extract._domain import own_domains
from tunesmith.data.extract.patterns import Patterns
from tunesmith.data.knowledge.extraction import triples_of

Language = Literal["en", "zh"]


def found(text: str, domain: str, language: Language = "en") -> list[tuple[str, str, str]]:
    return [(t.subject, t.relation, t.object) for t in triples(text, domain, language)]


def triples(text: str, domain: str, language: Language = "en") -> list[Triple]:
    return Patterns(domain=domain, language=language).open(Path())(text)


def test_three_domains_come_along() -> None:
    assert own_domains() == ["finance", "manufacturing", "medical"]


@pytest.mark.parametrize(
    ("text", "domain", "language", "expected"),
    [
        ("Fever, cough and chest pain suggest pneumonia.", "medical", "en",
         [(s, "indicate", "pneumonia") for s in ("Fever", "cough", "chest pain")]),
        ("We saw it. Gout is usually treated with colchicine or rest.", "medical", "en",
         [("Gout", "be treated with", "colchicine"), ("Gout", "be treated with", "rest")]),
        ("Seal leakage can be remedied by replacing the O-ring.", "manufacturing", "en",
         [("Seal leakage", "be remedied by", "replacing the O-ring")]),
        ("The loan was rejected because of low income.", "finance", "en",
         [("low income", "support decision", "rejected")]),
        ("肺炎的常见症状包括发热、咳嗽和胸痛。", "medical", "zh",
         [(s, "提示", "肺炎") for s in ("发热", "咳嗽", "胸痛")]),
        ("肺炎的治疗包括阿莫西林。", "medical", "zh", [("肺炎", "用…治疗", "阿莫西林")]),
        ("水泵出现异响。", "manufacturing", "zh", [("水泵", "出现故障", "异响")]),
        ("申请人具有稳定收入。", "finance", "zh", [("申请人", "有", "稳定收入")]),
        ("The meeting is on Monday.", "medical", "en", []),
    ],
)  # fmt: skip
def test_sentences(text: str, domain: str, language: Language, expected: list[tuple[str, str, str]]) -> None:
    assert sorted(found(text, domain, language)) == sorted(expected)


def test_records_become_the_chain_of_the_domain() -> None:
    text = "Symptoms: fever, dry cough\nDiagnosis: influenza\nTreatment: oseltamivir and rest"
    assert sorted(found(text, "medical")) == [
        ("dry cough", "indicate", "influenza"),
        ("fever", "indicate", "influenza"),
        ("influenza", "be treated with", "oseltamivir"),
        ("influenza", "be treated with", "rest"),
    ]


def test_attributes_keep_their_labels() -> None:
    text = "Purpose: car; Duration: 24 months; Decision: good"
    assert found(text, "finance") == [
        ("purpose: car", "support decision", "good"),
        ("duration: 24 months", "support decision", "good"),
    ]


def test_a_list_with_commas_and_its_answer_are_one_record() -> None:
    """Three labels at least, so that prose is no record; what has no label (`24 months`) is left out."""
    read: Any = Patterns(domain="finance").open(Path())
    asked = "account overdrawn, 24 months, 900 DM for car, history critical, other plans none"
    assert [(t.subject, t.relation, t.object) for t in read.answered(asked, "bad")] == [
        ("account: overdrawn", "support decision", "bad"),
        ("history: critical", "support decision", "bad"),
        ("other plans: none", "support decision", "bad"),
    ]
    assert read.answered("savings grew, history repeats", "bad") == []
    assert read.answered(asked, "bad\nbecause of the account") == []
    (one,) = read.answered("Hello.\n\npurpose: car", "good")
    assert (one.subject, one.object, one.evidence.start) == ("purpose: car", "good", 8)


def test_the_answer_of_a_row_is_read_with_its_last_question() -> None:
    turns = (Message(role="user", content="purpose: car"), Message(role="assistant", content="good"))
    row = Example(id="ex-1", messages=turns, target="good", place="f:1")
    (one,) = triples_of(row, [Patterns(domain="finance").open(Path())])
    assert (one.subject, one.object, one.evidence.turn, one.evidence.row) == ("purpose: car", "good", 0, "ex-1")


def test_two_records_in_one_text_are_not_mixed() -> None:
    text = "部件：水泵；故障：泄漏。部件：电机；故障：过热。"
    assert found(text, "manufacturing", "zh") == [("水泵", "出现故障", "泄漏"), ("电机", "出现故障", "过热")]


def test_roles_are_kinds_and_the_sentence_is_the_evidence() -> None:
    (one,) = triples("Hello there. Ataxia may indicate stroke.", "medical")
    assert (one.subject_kind, one.object_kind, one.extractor, one.hedged) == ("symptom", "diagnosis", "patterns", True)
    assert "Hello there. Ataxia may indicate stroke."[one.evidence.start : one.evidence.end] == one.evidence.sentence
    (denied,) = triples("Headache does not indicate stroke.", "medical")
    assert denied.negated and denied.confidence == 0.8 > one.confidence


OWN = """
roles: {crop: {en: [crop]}, pest: {en: [pest]}}
chain: [{subject: pest, relation: {en: damage}, object: crop}]
patterns: {en: ["{pest} (eats|eat) {crop}", "{crop} [often] suffers from {pest}"]}
"""


def test_a_project_brings_its_own_domain(tmp_path: Path) -> None:
    (tmp_path / "farm.yaml").write_text(OWN)
    read = Patterns(path="farm.yaml").open(tmp_path)
    assert [(t.subject, t.object) for t in read("Weevils eat cotton. Maize often suffers from borers.")] == [
        ("Weevils", "cotton"),
        ("borers", "Maize"),
    ]


WHOLE = """
roles: {category: {en: [category], whole: true}, chapter: {en: [chapter], whole: true}}
chain: [{subject: category, relation: {en: belong to}, object: chapter}]
"""


def test_a_role_can_take_what_stands_there_for_one_name(tmp_path: Path) -> None:
    """Without `whole` these are three categories of three chapters."""
    text = "Category: Warts, corns and calluses; chapter: Skin and hair."
    for domain, expected in (
        (WHOLE, {("Warts, corns and calluses", "Skin and hair")}),
        (WHOLE.replace("whole: true", ""), {(c, p) for c in ("Warts", "corns", "calluses") for p in ("Skin", "hair")}),
    ):
        (tmp_path / "coding.yaml").write_text(domain.replace(", }", "}"))
        found = Patterns(path="coding.yaml").open(tmp_path)(text)
        assert {(one.subject, one.object) for one in found} == expected


def test_a_domain_file_of_ones_own_stands_for_itself_outside(tmp_path: Path) -> None:
    (tmp_path / "coding.yaml").write_text(WHOLE)
    before = Patterns(path="coding.yaml").outside(tmp_path)
    (tmp_path / "coding.yaml").write_text(WHOLE + "# changed")
    assert before.keys() == {"coding.yaml"} and before != Patterns(path="coding.yaml").outside(tmp_path)
    assert Patterns(domain="medical").outside(tmp_path) == {}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("{pest} eats", "{pest eats"), "broken-pattern"),
        (("eats {crop}", "eats {corp}"), "broken-pattern"),
        (("often] suffers from {pest}", "often] suffers"), "broken-pattern"),
        (("subject: pest", "subject: pets"), "unknown-role"),
        (("chain:", "chian:"), "unknown-key"),
        (("roles: {", "roles: {{"), "broken-domain"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_domain_file_is_told(change: tuple[str, str], code: str, tmp_path: Path) -> None:
    text = OWN.replace("(eats|eat) {crop}", "eats {crop}").replace(*change)
    (tmp_path / "farm.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        Patterns(path="farm.yaml").open(tmp_path)
    assert code in {problem.code for problem in error.value.problems}


@pytest.mark.parametrize(
    "settings", [{}, {"domain": "medical", "path": "x.yaml"}, {"domain": "medcal"}, {"path": "../x.yaml"}]
)
def test_settings_that_name_no_domain(settings: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UserError):
        Patterns(**settings).open(tmp_path)  # type: ignore[arg-type]


PIECES = ["a ", "fever, ", "and ", "发热、", "和", "啊", "，", "因", "the fault in ", "症状：", "\n", "("]


def seconds_of(domain: str, language: Language, text: str) -> float:
    read = Patterns(domain=domain, language=language).open(Path())
    began = time.process_time()
    read(text)
    return time.process_time() - began


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("piece", PIECES)
def test_no_text_makes_patterns_slow(language: Language, piece: str) -> None:
    """4,000 characters of what patterns are made of; what is exponential or cubic takes hours."""
    assert seconds_of("medical", language, piece * (4_000 // len(piece))) < 10


@pytest.mark.slow
@pytest.mark.parametrize("domain", ["finance", "manufacturing", "medical"])
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("piece", PIECES)
def test_no_long_text_makes_patterns_slow(domain: str, language: Language, piece: str) -> None:
    """20,000 characters; the aim is 2 s a document, ten times that fails."""
    assert seconds_of(domain, language, piece * (20_000 // len(piece))) < 20
