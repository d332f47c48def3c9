"""Rows made from facts: many wordings, wrong answers that are wrong, children that stay with their parents."""

from __future__ import annotations

import pytest

from tunesmith.core.types import Evidence, Example, Message, Triple
from tunesmith.data.knowledge.graph import Fact, KnowledgeGraph
from tunesmith.data.knowledge.normal import phrase_key, relation_key
from tunesmith.data.knowledge.phrasing import phrasings
from tunesmith.data.knowledge.wording import third_person, worded


def triple(subject: str, relation: str, thing: str, **more: object) -> Triple:
    sentence = str(more.pop("sentence", f"{subject} {relation} {thing}."))
    evidence = Evidence(sentence=sentence, start=0, end=len(sentence), row=str(more.pop("row", "ex-1")))
    fields = {
        "subject": subject, "relation": relation, "object": thing, "subject_key": phrase_key(subject),
        "relation_key": relation_key(relation), "object_key": phrase_key(thing), "confidence": 0.9,
        "evidence": evidence, **more,
    }  # fmt: skip
    return Triple.model_validate(fields)


def fact(subject: str, relation: str, thing: str, **more: object) -> Fact:
    return KnowledgeGraph.of([triple(subject, relation, thing, **more)]).facts()[0]


def row(name: str, **more: object) -> Example:
    messages = (Message(role="user", content="q"), Message(role="assistant", content="a"))
    return Example.model_validate({"id": name, "messages": messages, "split": "train", "place": f"f:{name}", **more})


def said(example: Example) -> tuple[str, ...]:
    return tuple(message.content for message in example.messages)


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (fact("aspirin", "inhibit", "clotting"),
         ("Aspirin inhibits clotting.", "What does aspirin inhibit?", "What inhibits clotting?",
          "Does aspirin inhibit clotting?")),
        (fact("beta blockers", "lower", "pulse"),
         ("Beta blockers lower pulse.", "What do beta blockers lower?", "What lowers pulse?",
          "Do beta blockers lower pulse?")),
        (fact("gout", "be treated with", "colchicine"),
         ("Gout is treated with colchicine.", "What is gout treated with?", "What is treated with colchicine?",
          "Is gout treated with colchicine?")),
        (fact("gout", "cause", "fever", negated=True),
         ("Gout does not cause fever.", "What does gout cause?", "What causes fever?", "Does gout cause fever?")),
        (fact("flu", "lead to", "sepsis", hedged=True),
         ("Flu may lead to sepsis.", "What may flu lead to?", "What may lead to sepsis?", "May flu lead to sepsis?")),
        (fact("pump", "supply", "seal", sentence="The pump supplies a seal."),
         ("The pump supplies a seal.", "What does the pump supply?",
          "What supplies a seal?", "Does the pump supply a seal?")),
        (fact("阿司匹林", "抑制", "聚集", language="zh"),
         ("阿司匹林抑制聚集。", "阿司匹林抑制什么？", "什么抑制聚集？", "阿司匹林抑制聚集吗？")),
        (fact("青铜", "由…组成", "铜", language="zh"),
         ("青铜由铜组成。", "青铜由什么组成？", "什么由铜组成？", "青铜由铜组成吗？")),
        (fact("患者", "有", "发热", language="zh", negated=True),
         ("患者没有发热。", "患者有什么？", "什么有发热？", "患者有发热吗？")),
    ],
)  # fmt: skip
def test_wording(stated: Fact, expected: tuple[str, ...]) -> None:
    words = worded(stated)
    assert (words.said, words.what, words.who, words.ask) == expected


@pytest.mark.parametrize(
    ("verb", "bent"),
    [("cause", "causes"), ("carry", "carries"), ("pass", "passes"), ("have", "has"), ("play", "plays")],
)
def test_third_person(verb: str, bent: str) -> None:
    assert third_person(verb) == bent


MANY = [
    triple("gout", "be treated with", "colchicine"),
    triple("flu", "be treated with", "oseltamivir", row="ex-2"),
    triple("gout", "be treated with", "rest", row="ex-2"),
    triple("gout", "cause", "fever", negated=True),
    triple("scurvy", "be treated with", "vitamin C", confidence=0.3),
    triple("asthma", "be treated with", "steroids", row="ex-test"),
]
ROWS = {"ex-1": row("ex-1", group="g", licence="CC0-1.0"), "ex-2": row("ex-2")}


def made(seed: int = 0, per_fact: int = 6) -> list[Example]:
    return list(phrasings(KnowledgeGraph.of(MANY), ROWS, seed=seed, per_fact=per_fact))


def test_each_fact_is_said_in_every_kind() -> None:
    rows = [example for example in made() if "colchicine" in said(example)[0] + said(example)[-1].lower()]
    assert {example.attributes["phrasing"] for example in rows} >= {
        "statement",
        "forward",
        "backward",
        "cloze",
        "yes",
        "no",
    }
    assert len({said(example) for example in made()}) == len(made())


def test_a_denied_fact_is_never_asked_for_as_if_it_were_true() -> None:
    rows = [example for example in made() if "fever" in " ".join(said(example))]
    assert {example.attributes["phrasing"] for example in rows} == {"statement", "denied"}
    assert all("not cause fever" in " ".join(said(example)) for example in rows)


def test_wrong_answers_are_wrong() -> None:
    """Treatments of others are oseltamivir and steroids; `rest` is right for gout too and must not be called wrong."""
    for seed in range(20):
        (wrong,) = [e for e in made(seed) if e.attributes["phrasing"] == "no" and "colchicine" in said(e)[1]]
        assert said(wrong)[0].endswith(("treated with oseltamivir.", "treated with steroids."))


def test_children_stay_with_their_parent_and_held_out_rows_have_none() -> None:
    rows = made()
    assert {example.parent for example in rows} == {"ex-1", "ex-2"}
    assert {(e.group, e.split, e.licence, e.place) for e in rows if e.parent == "ex-1"} == {
        ("g", "train", "CC0-1.0", "f:ex-1")
    }
    assert {e.group for e in rows if e.parent == "ex-2"} == {"ex-2"}
    assert "asthma" not in str(rows) and "scurvy" not in str(rows)  # held out; too unsure


def test_the_seed_decides_the_words_and_nothing_else_does() -> None:
    assert made() == made()
    assert made(1) != made(2)
    assert len({e.id for e in made(per_fact=20)}) == len(made(per_fact=20)) > len(made())


def test_statements_are_plain_text_and_questions_are_answered() -> None:
    for example in made():
        assert (example.text is None) == (example.attributes["phrasing"] != "statement")


def test_chinese_facts_are_asked_in_chinese() -> None:
    graph = KnowledgeGraph.of(
        [triple("肺炎", "引起", "发热", language="zh"), triple("痛风", "引起", "疼痛", language="zh")]
    )
    rows = list(phrasings(graph, ROWS, seed=0))
    assert len(rows) == 12
    assert not any(character.isascii() and character.isalpha() for e in rows for text in said(e) for character in text)
