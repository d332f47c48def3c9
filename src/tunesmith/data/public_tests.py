"""Public test sets, given as files: rows that training must not hold, though nobody here is judged by them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.ids import digest_file
from tunesmith.core.spec import Use
from tunesmith.core.types import Drop, Example
from tunesmith.data.grams import Grams
from tunesmith.data.index import CODES, Index, piece_of
from tunesmith.data.leak import TRAINED, counted, matches
from tunesmith.data.leaks_spec import Leaks
from tunesmith.data.operations import SOURCES
from tunesmith.data.read._files import locate
from tunesmith.data.read._rows import rows
from tunesmith.data.rows import Rows
from tunesmith.data.vectors import Encoding, Vectors

_PEEKED_ROWS = 100
_MAX_LINE_BYTES = 10_000_000
_QUESTIONS = ("question", "prompt", "instruction", "problem", "query", "input", "text", "sentence")
_OPTIONS = ("options", "choices", "context", "contexts", "passage", "a", "b", "c", "d", "e")
"""Columns, in any case, that hold the question, and what belongs to it; the first of the former counts."""


def problems(given: Sequence[str | Use], root: Path) -> list[Problem]:
    """Everything that is wrong with the files and their heads."""
    found: list[Problem] = []
    for i, test in enumerate(given):
        where = f"data.public_tests[{i}]"
        try:
            source = _source(test, root, where)
            wrong = source.check(root) if hasattr(source, "check") else []
            found += [dataclasses.replace(p, path=f"{where}: {p.path}" if p.path else where) for p in wrong]
        except UserError as error:
            found += [dataclasses.replace(p, path=p.path or where) for p in error.problems]
    return found


def digests(given: Sequence[str | Use], root: Path) -> dict[str, str]:
    """Path as written -> SHA-256 of each file; UserError: one is missing."""
    return {name: digest_file(locate(root, name)) for name in map(name_of, given)}


def name_of(test: str | Use) -> str:
    """What a test set is called: its path."""
    return test if isinstance(test, str) else str(test.settings.get("path", test.use))


def public_leakage(
    index: Index, training: Rows, given: Sequence[str | Use], *, root: Path, near: float | None, spec: Leaks
) -> dict[str, Any]:
    """Path of each public test set -> how many of its questions stand in training, as `leak.leakage` tells of a split.

    Five arguments and an index, because rows, settings and the project's folder come from different places.

    Args:
        index: of the domain's rows, with their splits.
        training: those rows, for their places.
        given: paths, or sources, see `DataSpec.public_tests`.
        root: project folder.
        near: Jaccard share from which on two questions are near; None: not looked for.
        spec: what else is looked for.

    Raises:
        UserError: a file cannot be used.
    """
    told: dict[str, Any] = {}
    shared = training.shared_systems() if given else frozenset[int]()
    encoding = Encoding.of(spec, root)
    for i, test in enumerate(given):
        examples = list(_examples(test, root, f"data.public_tests[{i}]"))
        piece = piece_of(examples, shared, seed=0, near=near is not None)
        if encoding is not None:
            piece = dataclasses.replace(piece, vectors=encoding.read(examples, shared))
        every, held = _beside(index, piece)
        trained = np.isin(every.rows["split"], [CODES[split] for split in TRAINED]) & ~held
        pairs = None if near is None else every.near("asked", near, among=held | trained)
        found = matches(every, held=held, others=trained, near=pairs, spec=spec)
        count = counted(found.of_held(), len(examples), set(found.of_kind))
        places = training.places({pair["train"] for pair in count["pairs"]})
        for pair in count["pairs"]:
            pair |= {"row": examples[pair["row"] - len(index.rows)].place, "train": places[pair["train"]]}
        told[name_of(test)] = count
    return told


def _beside(index: Index, piece: Any) -> tuple[Index, Any]:
    """The index with the rows of a piece behind its own, and which rows these are."""
    rows = np.concatenate([index.rows, piece.rows])
    new = np.arange(len(rows)) >= len(index.rows)
    grams = {name: Grams([*own.blocks, piece.grams[name]]) for name, own in index.grams.items() if name in piece.grams}
    vectors = None if index.vectors is None else Vectors([*index.vectors.blocks, piece.vectors])
    kept = np.concatenate([index.kept, np.ones(len(piece.rows), dtype=bool)])
    return Index(rows, kept, grams, vectors=vectors), new


def _examples(test: str | Use, root: Path, where: str) -> Iterator[Example]:
    """The rows that ask something; what cannot be read is no problem here: a public file is as it is."""
    source = _source(test, root, where)
    return (item for item in source.read(root, ()) if not isinstance(item, Drop))


def _source(test: str | Use, root: Path, where: str) -> Any:
    """The source that reads a test set: as it is asked for, else conversations, else a table with a known column."""
    if not isinstance(test, str):
        return SOURCES.build(test, where=where)
    source = SOURCES.build({"use": "conversations", "path": test}, where=where)
    if not any(problem.code == "unknown-format" for problem in source.check(root)):
        return source
    columns = _columns(root, test)
    lower = {name.lower(): name for name in reversed(columns)}
    asked = next((lower[name] for name in _QUESTIONS if name in lower), None)
    if asked is None:
        hint = f"say how it is read: {{use: table, path: {test}, template: '{{COLUMN}}', answer: COLUMN}}"
        told = f"no column is called {', '.join(_QUESTIONS[:4])} or alike; there are {', '.join(columns[:8])}"
        raise UserError(Problem("unknown-format", told, hint, where, value=test))
    parts = [asked, *(lower[name] for name in _OPTIONS if name in lower)]
    template = "\n".join(f"{{{name}}}" for name in parts)
    return SOURCES.build({"use": "table", "path": test, "template": template, "answer": asked}, where=where)


def _columns(root: Path, path: str) -> list[str]:
    """The columns of the first rows, in the order in which they are met."""
    head = islice(rows(locate(root, path), path, max_bytes=_MAX_LINE_BYTES, notes=Counter()), _PEEKED_ROWS)
    found: list[Mapping[str, Any]] = [item.row for item in head if not isinstance(item, Drop)]
    return list(dict.fromkeys(str(name) for row in found for name in row))
