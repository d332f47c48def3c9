"""What is done fast says the same as what is done plainly: on real texts, on every character, and on noise."""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Iterator

import numpy as np
from shared_data import rows_of

from tunesmith.core.types import Example, Message
from tunesmith.data.chinese import HAN, classes, cut, persons, tokenizer
from tunesmith.data.clean.unicode import Unicode, _once
from tunesmith.data.filter.toxic import _lists, toxic_words
from tunesmith.data.grams import GRAM, grams_of
from tunesmith.data.personal.findings import find
from tunesmith.data.similarity import _folded, _words, normalised
from tunesmith.data.texts import hash_of, said
from tunesmith.data.tokens import RUN, _parts, runs_of, words, words_of

NOISE = (
    "aeE1209 .,:;-_%()[]{}<>@#\n\t\u00a0\u200b\u3000éß±ÃÂâ€™œ°ÖΒΓЖİŉﬁĳ²½–—“”…"
    "一二中文号路先生张，。·か\u3099e\u0301\u1100\u1161각"
)


def real_texts(*, each: int) -> list[str]:
    """Rows of real data in both languages, as JSON."""
    names = ("pubmedqa/train.jsonl", "huatuo_zh/questions.jsonl", "gsm8k/train.jsonl")
    return [json.dumps(row, ensure_ascii=False) for name in names for row in rows_of(name)[:each]]


def noise(count: int, *, longest: int, seed: int = 0) -> Iterator[str]:
    """Texts of characters that do unusual things beside each other."""
    draw = random.Random(seed)
    for _ in range(count):
        yield "".join(draw.choice(NOISE) for _ in range(draw.randint(0, longest)))


def plainly_normalised(text: str) -> str:
    """Each character by itself, as it is written down; see `similarity`."""
    return _words(_folded(text))


def test_normalising_in_one_pass_says_the_same_for_every_character() -> None:
    for context in ("{}", "a{}b 1{}2"):
        for point in range(0x110000):
            if unicodedata.category(chr(point)) not in {"Cn", "Co"}:
                text = context.format(*[chr(point)] * context.count("{}"))
                assert normalised(text) == plainly_normalised(text), hex(point)


def test_normalising_in_one_pass_says_the_same_for_noise_and_real_texts() -> None:
    for text in [*noise(4000, longest=30), *real_texts(each=50)]:
        assert normalised(text) == plainly_normalised(text)


def test_the_dictionary_is_what_jieba_makes_of_it() -> None:
    made = tokenizer()
    assert (made.FREQ, made.total) == made.gen_pfdict(made.get_dict_file())
    assert "诸葛亮" in persons() and classes()["高血压"] == "n"


def test_chinese_is_cut_as_jieba_cuts_it() -> None:
    draw = random.Random(1)
    known = sorted(tokenizer().FREQ)
    made = ["".join(draw.choice([draw.choice(known), draw.choice(NOISE)]) for _ in range(9)) for _ in range(3000)]
    for text in [*made, *noise(2000, longest=20), "a\r\nb 4S店 T恤", *filter(HAN.search, real_texts(each=100))]:
        assert cut(text) == list(tokenizer().cut(text, HMM=False))


def test_grams_and_runs_taken_together_are_those_of_each_text() -> None:
    """Two texts of many, so that the borders of what is hashed together fall between and inside them."""
    texts = [normalised(text) for text in [*noise(300, longest=40), *real_texts(each=60), ""]]
    for block, one in ((grams_of(texts), _grams), (runs_of(texts), _runs), (words_of(texts), _marked)):
        wanted = [sorted({*one(text)}) for text in texts]
        assert block[1].tolist() == [len(found) for found in wanted]
        assert block[0].tolist() == [number for found in wanted for number in found]
        assert block[0].dtype == np.uint64
        assert block[1].dtype == np.int32


def _grams(text: str) -> Iterator[int]:
    padded = text.ljust(GRAM) if text else ""
    yield from (_hash([*map(ord, padded[i : i + GRAM])]) for i in range(len(padded) - GRAM + 1))


def _runs(text: str) -> Iterator[int]:
    tokens = [token for part in _parts(text) for token in (part if HAN.match(part) else (part,))]
    yield from (_hash([*map(hash_of, tokens[i : i + RUN])]) for i in range(len(tokens) - RUN + 1))


def _marked(text: str) -> Iterator[int]:
    yield from (hash_of(word) >> 1 << 1 | word[0].isdigit() for word in words(text))


def _hash(numbers: list[int]) -> int:
    """Multiply and shift, 64 bits, as `grams` has it."""
    found = 0
    for number in numbers:
        found = ((found ^ number) * 0x9E3779B97F4A7C15) % (1 << 64)
        found ^= found >> 29
    return found


def test_what_is_compared_of_a_row_is_its_texts_joined_and_normalised() -> None:
    """Each text is normalised once and then joined; joined first gives the same, marks and accents at the seams too."""
    for one, other in zip(noise(1500, longest=12, seed=2), noise(1500, longest=12, seed=3), strict=True):
        turns = (Message(role="user", content=one), Message(role="assistant", content=other))
        found = said(Example(id="ex", messages=turns), ())
        assert found == (plainly_normalised(f"{one}\n{other}"), plainly_normalised(one), one)


def test_a_sound_text_is_one_that_no_pass_of_repair_changes() -> None:
    broken = [text.encode("utf-8").decode("cp1252", "ignore") for text in noise(200, longest=8, seed=4)]
    for text in [*noise(1500, longest=10), *broken, "Â \nÃ x", *filter(lambda t: not t.isascii(), real_texts(each=15))]:
        assert Unicode(width="keep").clean(text) == _repaired(text)


def _repaired(text: str) -> str:
    for _ in range(10):
        before, text = text, _once(text)
        if text == before:
            break
    return text


_OPENS = f"\n\n{'. ' * 40}\n\n@ [at] :: 1.2.3 222 333 444 555 PASSPORT CAR BOX 1号 街A座 str. "
"""Signs that make every detector search a text in full, too far away to speak for a number in it."""


def test_what_is_not_searched_for_is_not_there() -> None:
    """The same personal data is found where signs behind the text make every detector search it in full."""
    draw = random.Random(5)
    pieces = [
        "13800138000",
        "+86 138-0013-8000",
        "(212) 555-7788",
        "4111 1111 1111 1111",
        "11010519491231002X",
        "fe80::a1",
        "192.168.1.77",
        "a.b@c.de",
        "a [at] b [dot] org",
        "DE89370400440532013000",
        "passport: E12345678",
        "护照 E12345678",
        "car AB12 CDE",
        "京A12345",
        "P.O. Box 12",
        "Hauptstraße 12",
        "12 Oak Street",
        "中山路12号3栋",
        "街A座",
        "John Smith",
        "Dr. Lee",
        "my name is Anna",
        "张伟",
        "王小明先生",
        "San Jose",
        "1 3 8 0",
        "tel 030 1234567",
        "0171 2345678",
        "123-45-6789",
        "order 7",
        "and",
        "，",
        ".",
        "-",
    ]
    joints = (" ", "", "\n", "-", ", ", "\u200b", "\u3000")
    for _ in range(1200):
        text = "".join(draw.choice(pieces) + draw.choice(joints) for _ in range(draw.randint(1, 6)))
        alone = [(f.kind, f.start, f.end, f.parts) for f in find(text)]
        opened = [(f.kind, f.start, f.end, f.parts) for f in find(text.rstrip() + _OPENS) if f.end <= len(text)]
        assert alone == opened, text


def test_phrases_are_searched_in_full_wherever_one_is() -> None:
    lists = _lists()
    draw = random.Random(6)
    words_ = [
        "kill",
        "your",
        "self",
        "yourself",
        "kys",
        "go",
        "die",
        "hope",
        "you",
        "i'll",
        "i",
        "am",
        "going",
        "to",
        "all",
        "jews",
        "should",
        "heil",
        "hitler",
        "去死",
        "傻逼",
        "他妈的",
        "tmd",
        "a",
        ",",
        ".",
    ]
    for _ in range(2000):
        text = "".join(draw.choice(words_) + draw.choice(["", " ", " "]) for _ in range(6)).lower()
        phrases = [match[0] for match in lists.phrases.finditer(text)]
        assert [word for word, _ in toxic_words(text)][: len(phrases)] == phrases
        assert bool(phrases) == any(sign.search(text) for sign in lists.signs)
