from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from shared_data import gsm8k, huatuo, joined, pubmedqa, rows_of

from tunesmith.core.errors import UserError
from tunesmith.core.types import Example, Message, Refusal
from tunesmith.data.clean.boilerplate_lines import BoilerplateLines, is_boilerplate
from tunesmith.data.filter._documents import is_word, sentences, words
from tunesmith.data.filter.boilerplate import Boilerplate
from tunesmith.data.filter.c4 import C4, c4_broken
from tunesmith.data.filter.fineweb import fineweb_broken
from tunesmith.data.filter.gopher_quality import GopherQuality, gopher_quality_broken
from tunesmith.data.filter.gopher_repetition import GopherRepetition, gopher_repetition_broken
from tunesmith.data.filter.language import Language
from tunesmith.data.filter.length import Length
from tunesmith.data.filter.symbols import Symbols, special_share
from tunesmith.data.filter.toxic import Toxic, toxic_words

PROSE = (
    "The old bridge over the river was closed for repairs in the spring of that year, and people had to walk for an "
    "hour to reach the market on the other side. Some of them have complained to the mayor, who told them that it "
    "would be open again before the winter. Nobody believed him, but he was right with that."
)
PROSE_ZH = (
    "高血压是常见的慢性病，患者需要长期服药，并且定期测量血压。医生建议减少盐的摄入，增加运动，保持良好的心态。"
    "如果出现头晕、胸闷等症状，应及时到医院就诊，不要自行停药或改变剂量。家属也可以学习测量血压的方法，帮助患者记录。"
)


def document(text: str) -> Example:
    return Example(id="ex-1", messages=(Message(role="user", content=text),), source="s")


def talk(question: str, answer: str) -> Example:
    turns = (Message(role="user", content=question), Message(role="assistant", content=answer))
    return Example(id="ex-1", messages=turns, source="s")


def reason(refusal: Refusal | None) -> str:
    return refusal.reason if refusal else ""


def test_words_are_split_at_space_and_chinese_by_the_dictionary() -> None:
    assert list(words("Don't stop, X-ray (3.5)!")) == ["Don't", "stop,", "X-ray", "(3.5)!"]
    assert list(words("患者有高血压。 GPT-4 ok")) == ["患者", "有", "高血压", "。", "GPT-4", "ok"]
    assert not is_word("。") and is_word("3")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("One. Two! Three?", 3),
        ("No end", 1),
        ('He said "no." Then 3.5 came', 2),
        ("一句。两句！三句", 3),
        ("...", 1),
        ("", 0),
    ],
)
def test_sentences(text: str, count: int) -> None:
    assert sentences(text) == count


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        (PROSE, ""),
        (PROSE_ZH, ""),
        ("the " * 49, "gopher-short"),
        ("antidisestablishmentarianism of " * 30, "gopher-word-length"),
        (PROSE + " #a #b #c #d #e #f #g #h", "gopher-hashes"),  # 8 hashes among 62 + 8 words: 11 %
        (PROSE.replace(",", "...").replace(".", "...."), "gopher-ellipses"),
        ("\n".join(f"- {line} and that is what they have to do" for line in PROSE.split(",")), "gopher-bullets"),
        (PROSE + " 1 2" * 8, "gopher-alphabetic"),  # 62 of 78 words have a letter: 79 %
        ("Rivers flow towards distant oceans carrying fertile sediments onward. " * 8, "gopher-stop-words"),
        ("高血压患者每日测量血压两次，" * 20, "gopher-stop-words"),
    ],
)
def test_gopher_quality(text: str, broken: str) -> None:
    assert reason(gopher_quality_broken(text)) == broken


def test_gopher_quality_judges_documents_only() -> None:
    assert reason(GopherQuality().judge(document("too short"))) == "gopher-short"
    assert GopherQuality().judge(talk("too", "short")) is None


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        (PROSE, ""),
        (PROSE_ZH, ""),
        ("\n\n".join([PROSE[:40], PROSE[40:60], PROSE[:40], "z"]), "repeated-paragraphs-characters"),  # 40 of 107
        ("\n".join(["one line here"] * 4 + ["x y z", "u v w"]), "repeated-lines"),  # 3 of 6
        ("ab cd " * 20 + PROSE, "repeated-top-2-gram"),  # 20 times 5 of about 430 characters: 23 %
        (PROSE + " " + PROSE[:120], "repeated-5-grams"),  # about 95 of 430 characters; no 4-gram has 16 %
    ],
)
def test_gopher_repetition(text: str, broken: str) -> None:
    found = reason(gopher_repetition_broken(text, words(text)))
    assert found == broken


def test_repetition_is_found_in_an_answer_that_loops() -> None:
    looped = talk("What is it?", "I do not know what to say about it. " * 12)
    assert reason(GopherRepetition().judge(looped)).startswith(("repeated-top", "repeated-lines", "repeated-"))
    assert GopherRepetition().judge(talk("What?", "no no no no")) is None


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        (PROSE, ""),
        (PROSE_ZH, ""),
        ("Lorem ipsum dolor sit amet. " + PROSE, "c4-placeholder"),
        (PROSE + " {", "c4-curly-bracket"),
        ("One two three four five. Two of two and two. Three", "c4-few-sentences"),  # the line does not end
        (
            "We use cookies on this site.\nPlease enable Javascript to go on now.\nFive words are in here.",
            "c4-few-sentences",
        ),
        ("Home.\nAbout us.\nContact.\nNews.", "c4-few-sentences"),
    ],
)
def test_c4(text: str, broken: str) -> None:
    assert reason(c4_broken(text)) == broken


def test_c4_lets_programs_through_if_asked() -> None:
    assert C4(curly_brackets=False).judge(document(PROSE + " { }.")) is None


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        (PROSE, ""),
        (PROSE_ZH.replace("。", "。\n"), ""),
        ("a line of a table without any end or mark\n" * 3, "fineweb-line-ends"),
        ("Short line.\n" * 2 + "Other line.\nThird line.\n" + PROSE, "fineweb-short-lines"),
        (PROSE + "\n" + PROSE, "fineweb-repeated-lines"),
        ("", "fineweb-empty"),
        ("Antidisestablishmentarianism's unpronounceability.\nNotwithstanding-incomprehensibilities.", "fineweb-list"),
    ],
)
def test_fineweb(text: str, broken: str) -> None:
    assert reason(fineweb_broken(text)) == broken


def test_language() -> None:
    german = "Der alte Mann ging am Morgen langsam über die Brücke, um auf dem Markt Brot und Käse zu kaufen."
    assert reason(Language().judge(document(german))) == "other-language"
    assert Language(allow=("de",)).judge(document(german)) is None
    assert Language().judge(document(PROSE)) is None
    assert Language().judge(document(PROSE_ZH)) is None
    assert Language().judge(document("kurz")) is None
    with pytest.raises(UserError, match="'english'"):
        Language(allow=("english",))


def test_length() -> None:
    """`ab c` and `d` are 4 characters and 3 words over both turns."""
    pair = talk("ab c", "d")
    assert Length(at_least=4, at_most=4).judge(pair) is None
    assert reason(Length(at_least=5).judge(pair)) == "too-short"
    assert reason(Length(at_most=2, unit="words").judge(pair)) == "too-long"
    assert Length(at_least=3, at_most=3, unit="words").judge(pair) is None
    assert Length(at_least=2, at_most=2, unit="words").judge(document("患者高血压。")) is None


def test_symbols() -> None:
    """`ab|_|` has 3 special of 5 characters."""
    assert special_share("ab|_|") == 0.6
    assert special_share("") == 0.0
    assert special_share("高血压，“好”（3.5%）！") == 0.0
    assert reason(Symbols().judge(document("+---+---+ | a | b | +===+===+ | c | d | +---+---+"))) == "too-many-symbols"
    assert Symbols().judge(document("x = {y}")) is None


def test_documents_of_lines_that_others_share_are_refused() -> None:
    """Ten pages share two lines of 9 + 14 characters; one page has nothing else, the others 60 more."""
    pages = [
        f"Home news\nAll rights held\nPage number {chr(97 + i)} tells something that no other page has told."
        for i in range(10)
    ]
    rows = [document(text) for text in [*pages, "Home news\nAll rights held"]]
    filter = Boilerplate(documents=10)
    found = list(filter.decide([filter.note(row) for row in rows]))
    assert [reason(word) for word in found] == [""] * 10 + ["boilerplate"]
    other = rows[10].model_copy(update={"source": "t"})
    assert list(filter.decide([filter.note(row) for row in [*rows[:10], other]])) == [None] * 11


@pytest.mark.parametrize(
    ("line", "is_one"),
    [
        ("We use cookies to give you the best experience.", True),
        ("Accept all cookies", True),
        ("Home | About us | Contact", True),
        ("© 2024 Example Ltd. All rights reserved.", True),
        ("Skip to content", True),
        ("首页 > 关于我们 > 联系我们", True),
        ("版权所有 京ICP备12345678号", True),
        ("She baked cookies for the whole class.", False),
        ("Read more books, said the teacher to the class.", False),
        ("患者登录系统后可以查看报告。", False),
        ("", False),
    ],
)
def test_lines_of_a_pages_frame(line: str, is_one: bool) -> None:
    assert is_boilerplate(line) == is_one


def test_boilerplate_lines_go_and_a_text_of_nothing_else_stays() -> None:
    assert BoilerplateLines().clean("Home | About | Contact\nThe text.\nAll rights reserved.") == "The text."
    assert BoilerplateLines().clean("Read more\nAll rights reserved.") == "Read more\nAll rights reserved."


@pytest.mark.parametrize(
    ("text", "tiers"),
    [
        ("what the f*ck", ["mild"]),
        ("FUUUUCK this sh1t", ["mild", "mild"]),
        ("f u c k off", ["mild"]),
        ("ｆｕｃｋ", ["mild"]),
        ("kill yourself", ["strong"]),
        ("你这个傻逼，操你妈", ["mild", "strong"]),
        ("妈妈的手术很成功，垃圾分类", []),
        ("classic assessment of the anus, breast and penis; Scunthorpe; cocktail; Dick", []),
        ("5 * 3 = 15, a**b", []),
    ],
)
def test_toxic_words(text: str, tiers: list[str]) -> None:
    assert sorted(tier for _, tier in toxic_words(text)) == sorted(tiers)


def test_toxic_rows_are_set_aside_and_a_single_oath_is_not() -> None:
    refusal = Toxic().judge(talk("Be rude", "You stupid bastard, piece of shit."))
    assert refusal is not None
    assert (refusal.reason, refusal.fate) == ("toxic", "aside")
    assert refusal.detail == "0 slurs or threats, 2 abusive words"
    assert Toxic().judge(talk("Hm", "Oh shit, I forgot the keys.")) is None


@pytest.mark.slow
def test_no_medical_or_school_text_is_toxic() -> None:
    """Real texts without abuse: at most one in two thousand is set aside."""
    texts = [*gsm8k(), *(q for q, _ in pubmedqa()), *(f"{q}\n{a}" for q, a in huatuo())]
    texts += [joined(row) for row in rows_of("medqa/questions.jsonl")]
    aside = [text for text in texts if Toxic().judge(document(text))]
    assert len(aside) <= len(texts) / 2_000, aside[:10]


def corpus() -> Iterator[str]:
    """Documents of all shapes: real abstracts and dialogues, and the same with lines doubled, cut and torn."""
    draw = random.Random(7)
    real = [text for text, _ in pubmedqa()][:150] + gsm8k()[:80]
    real += [joined(row) for row in rows_of("formats/kto_en_demo.json")[:80]]
    for text in real:
        yield text
        lines = text.replace(". ", ".\n").split("\n")
        yield "\n".join(draw.choices(lines, k=len(lines)))
        yield "\n".join(f"- {line}" for line in lines)
        yield " ".join(draw.choices(text.split(), k=draw.randrange(1, 400)))


def datatrove(module: str) -> Any:
    return pytest.importorskip(
        f"datatrove.pipeline.filters.{module}",
        reason="needs datatrove: uv pip install --target F --no-deps datatrove loguru humanize; F on PYTHONPATH",
    )


def their_words(text: str, *_: Any) -> list[str]:
    return list(words(text))


def their_sentences(text: str, *_: Any) -> list[str]:
    return ["."] * sentences(text)


_C4 = {"min_num_sentences": 3, "min_words_per_line": 5, "filter_curly_bracket": False}
Judge = Callable[[str], Refusal | None]
PEERS: list[tuple[str, str, dict[str, Any], Judge]] = [
    ("gopher_quality_filter", "GopherQualityFilter", {}, gopher_quality_broken),
    ("gopher_repetition_filter", "GopherRepetitionFilter", {}, lambda t: gopher_repetition_broken(t, words(t))),
    ("fineweb_quality_filter", "FineWebQualityFilter", {"char_duplicates_ratio": 0.1}, fineweb_broken),
    ("c4_filters", "C4QualityFilter", _C4, lambda text: c4_broken(text, curly_brackets=False)),
]


@pytest.mark.parametrize(("module", "name", "settings", "ours"), PEERS, ids=[peer[1] for peer in PEERS])
def test_decisions_are_those_of_datatrove(
    module: str, name: str, settings: dict[str, Any], ours: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same words and sentences given to both, at least 99 % of a thousand documents are judged alike.

    Left out are texts under 50 words, whose top n-gram datatrove counts even where it stands once, and curly brackets,
    which datatrove looks for only in lines that it keeps (the paper: anywhere in the page).
    """
    theirs = datatrove(module)
    data = importlib.import_module("datatrove.data")
    for function, own in (("split_into_words", their_words), ("split_into_sentences", their_sentences)):
        if hasattr(theirs, function):
            monkeypatch.setattr(theirs, function, own)
    peer = getattr(theirs, name)(**settings)
    texts = [text for text in corpus() if len(words(text)) >= 50]
    judged = [(_kept(peer.filter(data.Document(text=text, id="1"))), ours(text) is None, text) for text in texts]
    different = [text[:200] for they, we, text in judged if they != we]
    assert len(texts) > 500 and len({they for they, _, _ in judged}) == 2
    assert len(different) <= 0.01 * len(texts), (len(different), different[:5])


def _kept(result: Any) -> bool:
    return bool(result[0] if isinstance(result, tuple) else result)
