"""The rules over token tables, without any parser."""

from __future__ import annotations

import pytest
from extract_tables import table, words

from tunesmith.data.extract import _chinese, _english
from tunesmith.data.extract._text import Claim, plain, sentences

Told = list[tuple[str, str, str]]


def told(claims: list[Claim]) -> Told:
    return [(claim.subject, claim.relation, claim.object) for claim in claims if claim.subject and claim.object]


ACTIVE = "The/DET/det/2 pump/NOUN/nsubj/3 supplies=supply/VERB/ROOT/0 oil/NOUN/dobj/3 to/ADP/prep/3 it/PRON/pobj/5"
PASSIVE = (
    "The/DET/det/2 rash/NOUN/nsubjpass/4 was=be/AUX/auxpass/4 caused=cause/VERB/ROOT/0 by/ADP/agent/4 "
    "mites=mite/NOUN/pobj/5 or/CCONJ/cc/6 fleas=flea/NOUN/conj/6"
)
TREATED = (
    "Gout/NOUN/nsubjpass/3 is=be/AUX/auxpass/3 treated=treat/VERB/ROOT/0 with/ADP/prep/3 colchicine/NOUN/pobj/4 "
    "in/ADP/prep/3 adults=adult/NOUN/pobj/6"
)
RELATIVE = (
    "valves=valve/NOUN/nsubj/5 that/PRON/nsubj/3 control/VERB/relcl/1 flow/NOUN/dobj/3 leak/VERB/ROOT/0 oil/NOUN/dobj/5"
)
TAKEN = (
    "The/DET/det/2 drug/NOUN/nsubj/6 that/PRON/dobj/5 patients=patient/NOUN/nsubj/5 take/VERB/relcl/2 "
    "causes=cause/VERB/ROOT/0 nausea/NOUN/dobj/6"
)
APPOSED = (
    "Metformin/PROPN/nsubj/6 ,/PUNCT/punct/1 a/DET/det/4 biguanide/NOUN/appos/1 ,/PUNCT/punct/1 "
    "lowers=lower/VERB/ROOT/0 glucose/NOUN/dobj/6"
)
OWNED = "Her/PRON/poss/2 doctor/NOUN/poss/4 's/PART/case/2 phone/NOUN/nsubj/5 is=be/AUX/ROOT/0 broken/ADJ/acomp/5"
CHAINED = "Staff/NOUN/nsubj/2 forgot=forget/VERB/ROOT/0 to/PART/aux/4 close/VERB/xcomp/2 the/DET/det/6 gate/NOUN/dobj/4"
AMOUNT = "Profit/NOUN/nsubj/2 fell=fall/VERB/ROOT/0 4/NUM/nummod/4 %/NOUN/npadvmod/2"
THERE = "There/PRON/expl/2 is=be/VERB/ROOT/0 a/DET/det/4 crack/NOUN/attr/2 in/ADP/prep/2 the/DET/det/7 hub/NOUN/pobj/5"
RESISTANT = "MRSA/PROPN/nsubj/2 is=be/AUX/ROOT/0 resistant/ADJ/acomp/2 to/ADP/prep/3 oxacillin/NOUN/pobj/4"
COMPLEMENT = (
    "Stents=stent/NOUN/nsubj/2 reduce/VERB/ROOT/0 the/DET/det/4 risk/NOUN/dobj/2 of/ADP/prep/4 stroke/NOUN/pobj/5 "
    "and/CCONJ/cc/6 death/NOUN/conj/6"
)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        (ACTIVE, [("pump", "supply", "oil")]),  # the pronoun names nothing
        (PASSIVE, [("mites", "cause", "rash"), ("fleas", "cause", "rash")]),
        (TREATED, [("Gout", "be treated with", "colchicine"), ("Gout", "be treated in", "adults")]),
        (RELATIVE, [("valves", "control", "flow"), ("valves", "leak", "oil")]),
        (TAKEN, [("patients", "take", "drug"), ("drug", "cause", "nausea")]),
        (APPOSED, [("Metformin", "be", "biguanide"), ("Metformin", "lower", "glucose")]),
        (OWNED, [("doctor", "have", "phone"), ("doctor's phone", "be", "broken")]),
        (CHAINED, [("Staff", "forget to close", "gate")]),
        (AMOUNT, [("Profit", "fall", "4 %")]),
        (THERE, [("crack", "be in", "hub")]),
        (RESISTANT, [("MRSA", "be resistant to", "oxacillin")]),
        (COMPLEMENT, [("Stents", "reduce", "risk of stroke and death")]),
    ],
)
def test_english(sentence: str, expected: Told) -> None:
    assert told(_english.claims(table(sentence))) == expected


@pytest.mark.parametrize(
    ("sentence", "negated", "hedged"),
    [
        ("It/PRON/nsubj/2 Pills=pill/NOUN/nsubj/3 cure/VERB/ROOT/0 gout/NOUN/dobj/3", False, False),
        ("Pills=pill/NOUN/nsubj/4 do/AUX/aux/4 not/PART/neg/4 cure/VERB/ROOT/0 gout/NOUN/dobj/4", True, False),
        ("Pills=pill/NOUN/nsubj/2 have/VERB/ROOT/0 no/DET/det/4 effect/NOUN/dobj/2", True, False),
        ("Pills=pill/NOUN/nsubj/3 may/AUX/aux/3 cure/VERB/ROOT/0 gout/NOUN/dobj/3", False, True),
        (
            "If/SCONJ/mark/3 pills=pill/NOUN/nsubj/3 cure/VERB/advcl/6 gout/NOUN/dobj/3 we/PRON/nsubj/6 "
            "win/VERB/ROOT/0",
            False,
            True,
        ),
        ("We/PRON/nsubj/2 believe/VERB/ROOT/0 pills=pill/NOUN/nsubj/4 cure/VERB/ccomp/2 gout/NOUN/dobj/4", False, True),
    ],
)
def test_denials_and_doubts_in_english(sentence: str, negated: bool, hedged: bool) -> None:
    (claim,) = [c for c in _english.claims(table(sentence)) if c.subject and c.object]
    assert (claim.negated, claim.hedged) == (negated, hedged)
    assert (claim.confidence < 0.6) == hedged


def test_a_question_states_nothing() -> None:
    assert _english.claims(table("Pills=pill/NOUN/nsubj/2 cure/VERB/ROOT/0 gout/NOUN/dobj/2 ?/PUNCT/punct/2")) == []


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("药物/NOUN 抑制/VERB 炎症/NOUN 。/PUNCT", [("药物", "抑制", "炎症")]),
        ("皮疹/NOUN 由/ADP 螨虫/NOUN 引起/VERB 。/PUNCT", [("螨虫", "引起", "皮疹")]),
        ("合金/NOUN 由/ADP 铜/NOUN 和/CCONJ 锡/NOUN 组成/VERB",
         [("合金", "由…组成", "铜"), ("合金", "由…组成", "锡")]),
        ("工人/NOUN 把/ADP 零件/NOUN 加热/VERB 到/VERB 850/NUM ℃/CLF",
         [("工人", "加热", "零件"), ("工人", "把零件加热到", "850℃")]),
        ("水泵/NOUN 向/ADP 主轴/NOUN 供应/VERB 油/NOUN", [("水泵", "供应", "油"), ("水泵", "向…供应油", "主轴")]),
        ("控制/VERB 流量/NOUN 的/PART 阀门/NOUN 损坏/VERB 了/PART 泵/NOUN",
         [("阀门", "控制", "流量"), ("阀门", "损坏", "泵")]),
        ("药物/NOUN 降低/VERB 血糖/NOUN ，/PUNCT 但/CCONJ 引起/VERB 恶心/ADJ",
         [("药物", "降低", "血糖"), ("药物", "引起", "恶心")]),
        ("体温/NOUN 38.9/NUM ℃/CLF", [("体温", "是", "38.9℃")]),
        ("传感器/NOUN 安装/VERB 在/ADP 歧管/NOUN 上/LOC", [("传感器", "安装在", "歧管")]),
        ("您/PRON 感觉/VERB 怎么样/PRON ？/PUNCT", []),
        ("请/VERB 按时/ADV 服用/VERB 药物/NOUN", []),
    ],
)  # fmt: skip
def test_chinese(sentence: str, expected: Told) -> None:
    assert told(_chinese.claims(words(sentence))) == expected


@pytest.mark.parametrize(
    ("sentence", "negated", "hedged"),
    [
        ("药物/NOUN 引起/VERB 恶心/NOUN", False, False),
        ("药物/NOUN 不/ADV 引起/VERB 恶心/NOUN", True, False),
        ("患者/NOUN 没有/VERB 发热/NOUN", True, False),
        ("药物/NOUN 可能/VERB 引起/VERB 恶心/NOUN", False, True),
        ("医生/NOUN 怀疑/VERB 药物/NOUN 引起/VERB 恶心/NOUN", False, True),
        ("如果/CCONJ 药物/NOUN 引起/VERB 恶心/NOUN ，/PUNCT 停药/VERB", False, True),
    ],
)
def test_denials_and_doubts_in_chinese(sentence: str, negated: bool, hedged: bool) -> None:
    (claim,) = [c for c in _chinese.claims(words(sentence)) if c.subject and c.object]
    assert (claim.negated, claim.hedged) == (negated, hedged)
    assert (claim.confidence < 0.6) == hedged


def test_sentences_end_where_people_end_them() -> None:
    text = "Dr. Lee saw 1.5 mm. It grew!  Why?\n新句子。还有；完"
    assert [text[a:b] for a, b in sentences(text)] == [
        "Dr. Lee saw 1.5 mm.", "It grew!", "Why?", "新句子。", "还有；", "完",
    ]  # fmt: skip


def test_no_sentence_is_longer_than_a_thousand_characters_and_none_loses_a_word() -> None:
    text = "word " * 1000 + "x" * 2500
    spans = list(sentences(text))
    assert max(end - start for start, end in spans) <= 1000
    assert "".join(text[a:b] for a, b in spans).replace(" ", "") == text.replace(" ", "")


def test_brackets_and_broken_characters_are_kept_from_the_parser() -> None:
    assert plain("Acute leukaemia (AML) is\x00 bad\ud800.") == "Acute leukaemia is\ufffd bad\ufffd."
