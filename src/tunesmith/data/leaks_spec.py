"""The part `leaks` of the section `data`: what counts as a leak besides copies and near copies."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tunesmith.core.spec import Section

Kind = Literal["verbatim", "folded", "reordered", "near", "contained", "reworded", "meaning"]
"""As what a held-out question is found in another row, the strictest kind first."""


class Leaks(Section):
    """What a held-out question must not be found as in training rows, besides itself and a near copy of it."""

    contained: float | None = Field(
        0.7,
        gt=0.0,
        le=1.0,
        description="share of a question's runs of 8 words (Chinese: characters) that stand in one training row, "
        "however long that is; null: do not look (as PaLM's check: Chowdhery et al. 2022, arXiv:2204.02311, section 8)",
    )
    reworded: float | None = Field(
        0.55,
        gt=0.0,
        le=1.0,
        description="cosine of two questions' words, rare words weighing more, from which on one is the other in other "
        "words; null: do not look (with 3 of 10 words replaced half are above 0.7; unrelated ones are below 0.4)",
    )
    meaning: float | None = Field(
        None,
        gt=0.0,
        le=1.0,
        description="cosine of two questions' sentence vectors from which on both ask the same; null: do not look "
        "(an encoder reads every question, 20 ms each on one thread; 0.85 is a start)",
    )
    encoder: str = Field(
        "all-minilm-l6-v2",
        description="sentence encoder for `meaning`: a catalog name, or a folder in the layout of Hugging Face; "
        "questions in a language that it was not trained on are not looked for",
    )
