"""Synonyms: which words are replaced, and which never are."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from augment_fakes import FORMS, WORDNET, context, parse, row, use_fakes
from tunesmith.core.events import Event
from tunesmith.core.types import Drop, Example
from tunesmith.data.augment import _chinese, _english
from tunesmith.data.augment._guard import Corpus, Guard, closed_set, guarded
from tunesmith.data.augment._swaps import Swap
from tunesmith.data.augment._wordnet import read_forms, read_senses
from tunesmith.data.augment.synonyms import Synonyms


def children(rows: list[Example], folder: Path, **settings: object) -> list[Example]:
    made = Synonyms(encoder=None, rate=1.0, **settings).make(rows, context(folder))  # type: ignore[arg-type]
    return [new for new in made if isinstance(new, Example)]


def test_senses_that_are_meant_nearly_always_are_taken_and_their_common_members(tmp_path: Path) -> None:
    """`assess` means set 1 in 9 of 10 tagged uses, `evaluate` in all 4; `judge` in 5 of 10, so it has no one meaning.

    `gauge` was met once (fewer than 3 times), and 4 of `evaluate` is over a third of 9. `x_ray` is no single word.
    """
    file = tmp_path / "index.sense"
    lines = [
        "assess%2:31:00:: 00000001 1 9", "assess%2:40:00:: 00000002 2 1", "evaluate%2:31:00:: 00000001 1 4",
        "judge%2:31:00:: 00000001 1 5", "judge%2:31:01:: 00000003 2 5", "gauge%2:31:00:: 00000001 1 1",
        "x_ray%1:06:00:: 00000001 1 9", "assess%1:04:00:: 00000001 1 0",
    ]  # fmt: skip
    file.write_text("\n".join(lines), encoding="ascii")
    words = read_senses(file)
    assert words.synonyms("assess", "verb") == ("evaluate",)
    assert words.synonyms("gauge", "verb") == ("assess", "evaluate")
    assert words.synonyms("judge", "verb") == words.synonyms("assess", "noun") == ()


def test_a_synonym_has_the_form_of_the_word_or_does_not_stand_in(tmp_path: Path) -> None:
    """`increased` is past and participle: `enlarge` has one form for both, `grow` has `grew` and `grown`."""
    file = tmp_path / "forms.csv.gz"
    lines = ["increase,verb,increased,,increasing,increases", "enlarge,verb,enlarged,,enlarging,enlarges",
             "grow,verb,grew,grown,growing,grows", "mouse,noun,mice/mouses", "can,modal,could"]  # fmt: skip
    file.write_bytes(gzip.compress("\n".join(lines).encode()))
    forms = read_forms(file)
    assert forms.as_said("enlarge", "increased", "increase", "verb") == "enlarged"
    assert forms.as_said("grow", "increased", "increase", "verb") == ""
    assert forms.as_said("grow", "increases", "increase", "verb") == "grows"
    assert forms.as_said("mouse", "rats", "rat", "noun") == ""  # nobody knows which form of `rat` that is
    assert ("can", "modal") not in forms.table


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Doctors assessed it.", {"Doctors": ("Physicians",), "assessed": ("evaluated",)}),
        ("A doctor; an Assess; non-calm.", {"doctor": ("physician",)}),  # a capital inside is a name, a hyphen joins
        ("an assess, a assess", {}),  # `evaluate` begins like `assess`, but `an` asks for the sound: both are vowels
        ("a calm doctor", {"calm": ("quiet",), "doctor": ("physician",)}),
        ("However calm", {"calm": ("quiet",)}),
    ],
)
def test_english_words_that_could_be_others(text: str, found: dict[str, tuple[str, ...]]) -> None:
    swaps = _english.swaps_by(text, parse, WORDNET, FORMS)
    if "assess, a" in text:
        assert [swap.others for swap in swaps] == [("evaluate",), ("evaluate",)]
    else:
        assert {text[s.start : s.end]: s.others for s in swaps} == found


def test_chinese_words_need_both_dictionaries_and_the_same_class(tmp_path: Path) -> None:
    """肿胀 and 腹胀 share a set of Cilin but no translation; 患者 and 病人 share both; # is no set of synonyms."""
    sets = {"01=": ["患者", "病人", "人"], "02=": ["肿胀", "腹胀"], "03#": ["治疗", "检查"]}
    tree = {"A": {"tag": "x", "sub": sets}}
    file = tmp_path / "tree.json"
    file.write_text(json.dumps(tree), encoding="utf-8")
    lines = [
        "# note",
        "患者 患者 [huan4 zhe3] /patient/sufferer/",
        "病人 病人 [bing4 ren2] /sick person; a patient/",
        "腫脹 肿胀 [zhong3 zhang4] /to swell (of a limb)/",
        "腹脹 腹胀 [fu4 zhang4] /bloating/CL:個|个[ge4]/",
    ]
    glosses = tmp_path / "glosses.gz"
    glosses.write_bytes(gzip.compress("\n".join(lines).encode()))
    near, told = _chinese.read_tree(file), _chinese.read_glosses(glosses)
    assert near == {"患者": ("病人",), "病人": ("患者",), "肿胀": ("腹胀",), "腹胀": ("肿胀",)}
    assert told["病人"] == {"sick person", "patient"} and told["肿胀"] == {"swell"} and told["腹胀"] == {"bloating"}
    assert _chinese.agreed(near, told) == {"患者": ("病人",), "病人": ("患者",)}
    text = "患者肿胀，精神病患者"
    swaps = _chinese.swaps_by(text, _chinese.agreed(near, told))
    assert all(text[s.start : s.end] == "患者" and s.others == ("病人",) for s in swaps) and len(swaps) <= 1


def test_quotations_code_addresses_options_and_records_are_guarded() -> None:
    text = 'Say "calm sea" and `calm` at https://calm.example/x or a@calm.org.\nQuestion: is it calm?\n'
    text += "A. calm\nage: 40, mood: calm\nWhy is it calm: because."
    guard = Guard(text)
    free = [text.count("\n", 0, at) for at in _places(text, "calm") if guard.free(at, at + 4)]
    assert free == [1]  # only in the sentence after its label
    assert not guard.free(text.index("Question"), text.index("Question") + 8)
    assert guarded("") == []


def _places(text: str, word: str) -> list[int]:
    return [i for i in range(len(text)) if text.startswith(word, i)]


def test_words_of_the_answer_and_kept_words_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fakes(monkeypatch)
    rest = " in the long corridor of that hospital, whenever somebody asks for it"
    parent = row(f"Doctors assess a calm doctor{rest}.", "A calm one.")
    assert [new.messages[0].content for new in children([parent], tmp_path)] == [
        f"Physicians evaluate a calm physician{rest}."
    ]
    kept = children([parent], tmp_path, keep=("Assess",))
    assert [new.messages[0].content for new in kept] == [f"Physicians assess a calm physician{rest}."]
    assert all(new.messages[1] == parent.messages[1] for new in kept)


def test_chinese_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fakes(monkeypatch)
    parent = row("患者经常发热，应该如何治疗？", "发热时多喝水。")
    assert [new.messages[0].content for new in children([parent], tmp_path)] == ["病人常常发热，应当如何治疗？"]


def test_a_closed_set_of_answers_and_a_template_are_seen() -> None:
    """All 20 rows of the source share `applicant assess` and `assess job`: 2 of the 3 word pairs of each row."""
    rows = [row(f"applicant assess job w{n} calm", label, target=label) for n, label in enumerate(["good", "bad"] * 10)]
    corpus = Corpus.of(rows)
    assert corpus.labels == ("bad", "good")
    assert corpus.template_words(rows[0]) >= {"applicant", "assess", "job"}
    assert not corpus.is_record(rows[0])
    assert corpus.is_record(rows[0].model_copy(update={"kind": "structured"}))
    assert Corpus.of(rows[:19]).template_words(rows[0]) == frozenset()
    assert closed_set(Counter({"a": 9})) == closed_set(Counter({"a": 4, "b": 5})) == ()


def test_records_are_left_alone_and_the_note_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fakes(monkeypatch)
    rows = [row(f"the doctor assess job w{n}", f"answer {n}", kind="structured") for n in range(20)]
    told: list[Event] = []
    made = list(Synonyms(encoder=None).make(rows, context(tmp_path, told=told)))
    assert made == []
    assert [event.message for event in told] == ["synonyms: 20 rows have no child: 20 are records of a template"]


def test_a_child_that_lost_its_facts_is_a_drop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fakes(monkeypatch)
    monkeypatch.setattr(_chinese, "thesaurus", lambda: {"经常": ("从不",)})
    monkeypatch.setattr(_chinese, "swaps", lambda text: [Swap(2, 4, ("从不",))])
    (drop,) = Synonyms(encoder=None).make([row("患者经常发热。", "是的。")], context(tmp_path))
    assert isinstance(drop, Drop) and drop.reason == "meaning-changed" and drop.detail == "0 denials before, 1 now"


@pytest.mark.slow
def test_the_real_tables_are_brought_and_have_what_they_should() -> None:
    from tunesmith.data.augment import _wordnet

    words = _wordnet.thesaurus()
    assert words.synonyms("physician", "noun") and "evaluate" in words.synonyms("assess", "verb")
    assert _wordnet.forms().as_said("evaluate", "assessed", "assess", "verb") == "evaluated"
    table = _chinese.thesaurus()
    assert "病人" in table["患者"] and "腹胀" not in table.get("肿胀", ())
