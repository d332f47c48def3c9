"""The section `data` of the project file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt

from tunesmith.core.spec import Section, Use
from tunesmith.core.types import Split
from tunesmith.data.knowledge.spec import Links
from tunesmith.data.leaks_spec import Leaks
from tunesmith.data.tasks.spec import Tasks


class Duplicates(Section):
    """Which copies of a row are removed within a split; the first one stays."""

    exact: bool = Field(
        True, description="remove rows that are equal but for case, space, accents and sentence punctuation"
    )
    near: float | None = Field(
        0.85,
        gt=0.0,
        le=1.0,
        description="remove rows whose character 5-grams overlap by at least this Jaccard share; also what counts as a "
        "near leak; null: do not look (0.8 is usual for documents: Lee et al. 2022, arXiv:2107.06499, SlimPajama; "
        "a little more here because short rows that differ in one word are often different cases)",
    )
    contradicting: Literal["keep", "aside"] = Field(
        "keep",
        description="rows that give different answers to the same question: keep them all, or set them all aside for a "
        "person to look at (labels: one of them is wrong)",
    )


class Shares(Section):
    """Shares of the splits; groups stay whole, so what is reached can differ a little and is reported."""

    train: float = Field(0.8, ge=0.0, le=1.0, description="share of training rows (usual 80/10/10)")
    valid: float = Field(0.1, ge=0.0, le=1.0, description="share of rows for choices made while training")
    test: float = Field(0.1, ge=0.0, le=1.0, description="share of held-out rows that the verdict rests on")


class Mix(Section):
    """What the training rows are made up of."""

    by: Literal["kind", "source"] = Field("kind", description="what shares are of: kinds of data, or sources")
    shares: dict[str, NonNegativeFloat] = Field(
        {},
        description="share of each kind (structured, semi_structured, unstructured) or source (its path); rows beyond "
        "it are left out by the seed; {}: as it comes (40/30/30 is a start where all three are there)",
    )


class Limits(Section):
    """What gate G1 and the readers tolerate; shares in [0, 1]."""

    broken: float = Field(
        0.0, ge=0.0, le=1.0, description="share of unreadable rows; above it the run ends (nothing vanishes unseen)"
    )
    unknown_labels: float = Field(
        0.0, ge=0.0, le=1.0, description="share of rows whose answer is not in profile.labels; above it the run ends"
    )
    dropped: float = Field(
        0.05,
        ge=0.0,
        le=1.0,
        description="share of rows dropped for anything but duplicates and at_most_rows (a choice)",
    )
    leak: float = Field(
        0.0, ge=0.0, le=1.0, description="share of held-out rows whose question also stands in training (a clean test)"
    )
    near_leak: float = Field(
        0.0, ge=0.0, le=1.0, description="the same for questions that nearly stand there, or inside a longer text"
    )
    reworded_leak: float = Field(
        1.0,
        ge=0.0,
        le=1.0,
        description="the same for questions in other words; 1: told, not judged, because rows of one form or one graph "
        "look so to each other (question sets that people wrote hold 1 or 2 % of them: 0.05 is a start there)",
    )
    mixed_away: float = Field(
        0.5,
        ge=0.0,
        le=1.0,
        description="share of training rows that mixing may leave out; above it the run ends (data is dear)",
    )
    agreement: float = Field(
        0.667,
        ge=-1.0,
        le=1.0,
        description="least Krippendorff's alpha of labels that `tunesmith label export` wrote; below it the run ends "
        "(0.667 for tentative conclusions, 0.8 for reliable ones: Krippendorff 2004)",
    )
    test_rows: int = Field(
        50,
        ge=0,
        description="fewest test rows to judge by: with 50 the 95 % interval of a share is about 28 points wide",
    )


class DataSpec(Section):
    """Where rows come from, how they are cleaned and split, what is tolerated."""

    sources: tuple[Use, ...] = Field(
        (), description="where rows come from, each {use: table | conversations | documents | text | ..., path: ...}"
    )
    clean: tuple[Use, ...] = Field(
        (Use(use="unicode"),), description="cleaners in order, applied to every message (broken encodings are common)"
    )
    filter: tuple[Use, ...] = Field(
        (),
        description="which rows go on after cleaning: filters of single rows first, then those that look at all rows",
    )
    extract: tuple[Use, ...] = Field(
        (), description="what is read out of the training rows into a graph of facts, which is kept beside the snapshot"
    )
    facts: Links = Field(Links(), description="how those facts are linked")
    synthesize: tuple[Use, ...] = Field(
        (), description="training rows that a model writes out of training rows, or that are made of facts"
    )
    augment: tuple[Use, ...] = Field(
        (), description="further training rows: the same in other words, wrong answers, more turns"
    )
    mix: Mix = Field(Mix(), description="shares of the training rows by kind or source, reached by leaving rows out")
    duplicates: Duplicates = Field(Duplicates(), description="removal of copies within a split")
    leaks: Leaks = Field(Leaks(), description="what counts as a leak besides copies and near copies")
    public_tests: tuple[str | Use, ...] = Field(
        (),
        description="files of public test sets that training must not hold: paths, or {use: table, ...} where a file "
        "has columns of its own",
    )
    tasks: Tasks = Field(Tasks(), description="which tasks the training rows are")
    split: Shares = Field(Shares(), description="shares of the splits for sources that are not already split")
    at_most_rows: dict[Split, NonNegativeInt] = Field(
        {}, description="largest number of rows per split, drawn by the seed in the labels' proportions; {}: no cap"
    )
    gaps: tuple[str, ...] = Field(
        (), description="what this data is known to lack or to get wrong, in your words, for the datasheet"
    )
    limits: Limits = Field(Limits(), description="what gate G1 tolerates")
