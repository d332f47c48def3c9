"""Data: each operator and the whole line on the same texts, against datatrove's and data-juicer's nearest ones.

Every contender reads one JSONL file and writes what is left, in one process of its own; what an operator takes is seen
beside `read and write`, which has none. The nearest operators do not do the same: datatrove judges English words of
spaCy where ours has the words of both languages, its near copies are texts that share a MinHash bucket (about 0.72 of
their 5-grams of words, not verified), data-juicer's quality and repetition filters are other rules, and its and
datatrove's patterns for personal data are e-mail and IP addresses only. Ours also keeps an index, splits, checks for
leaks and writes a datasheet. Rates are of the processor's time, since others may be at work on the machine.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import _environments, _process, _texts
from bench._frame import Asked, Column, Figures, Outcome

ROUNDS = 1
MEGABYTES = 10.0
WORK = Path(__file__).with_name("texts.json")
COLUMNS = (
    Column("mb_per_cpu_s", "MB a processor second", 2),
    Column("seconds", "seconds", 1, compared=False),
    Column("peak_mb", "peak MB"),
    Column("left", "texts left", compared=False),
)


@dataclass
class Tables:
    """One outcome for each operator and size."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def told(self) -> str:
        """All tables, then the notes."""
        tables = [f"{name}\n{outcome.told()}\n" for name, outcome in self.outcomes.items() if outcome.runs]
        return "\n".join([*tables, *(f"  {note}" for note in self._all_notes())])

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        outcomes = {name: outcome.as_dict() for name, outcome in self.outcomes.items() if outcome.runs}
        return {"tables": outcomes, "notes": self._all_notes()}

    def _all_notes(self) -> list[str]:
        """With those of tables in which nobody stands."""
        empty = [
            f"{name}: {note}" for name, outcome in self.outcomes.items() if not outcome.runs for note in outcome.notes
        ]
        return [*self.notes, *empty]


def run(asked: Asked) -> Tables:
    """Every operator at every size; all contenders in turn, as many rounds as are asked for."""
    known = json.loads(WORK.read_text(encoding="utf-8"))
    tables = Tables()
    chosen = chosen_work(known["work"], asked.only)
    pythons = _pythons(known["peers"], {name for work in chosen.values() for name in work}, tables)
    for megabytes in asked.megabytes or (MEGABYTES,):
        with tempfile.TemporaryDirectory(prefix="bench-texts-") as folder:
            texts = Path(folder) / "texts.jsonl"
            tables.notes.append(_texts.write(texts, megabytes))
            for name, work in chosen.items():
                outcome = tables.outcomes.setdefault(f"{name}, {megabytes:g} MB", Outcome(COLUMNS))
                for _ in range(asked.rounds or ROUNDS):
                    print(f"{name}, {megabytes:g} MB", flush=True)
                    _round(outcome, work, texts, known["peers"], pythons)
    return tables


def chosen_work(known: dict[str, Any], only: tuple[str, ...]) -> dict[str, Any]:
    """Operators, and of each its contenders, with one of `only` in the name of either; ours is in all of them."""

    def wanted(name: str) -> bool:
        return any(part.lower() in name.lower() for part in only)

    operators = {name: work for name, work in known.items() if wanted(name)} or known
    some = any(wanted(peer) for work in known.values() for peer in work)
    if only and not some and len(operators) == len(known) and not any(map(wanted, known)):
        raise SystemExit(f"--only: no operator or peer is like {', '.join(only)}; there are {', '.join(known)}")
    return {
        name: {peer: settings for peer, settings in work.items() if peer == "tunesmith" or not some or wanted(peer)}
        for name, work in operators.items()
    }


def _round(
    outcome: Outcome, work: dict[str, Any], texts: Path, peers: dict[str, Any], pythons: dict[str, Path]
) -> None:
    for peer, settings in work.items():
        if peer not in pythons or any(note.startswith(f"{peer} left") for note in outcome.notes):
            continue
        try:
            outcome.add(peer, figures := _measured(pythons[peer], peers[peer]["driver"], texts, settings))
        except _process.Failed as error:
            outcome.notes.append(f"{peer} left the comparison: {error}")
            continue
        told = (f"{figures[column.name]:,.{column.digits}f} {column.head}" for column in COLUMNS)
        print(f"  {peer}: {', '.join(told)}", flush=True)


def _measured(python: Path, driver: str, texts: Path, settings: Any) -> Figures:
    """One run of one contender on the texts."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        place = Path(folder)
        (place / "work").mkdir()
        given = place / "work" / "texts.jsonl"  # a project's sources lie inside it
        os.link(texts, given) if texts.stat().st_dev == place.stat().st_dev else given.symlink_to(texts)
        job = {"texts": str(given), "folder": str(place / "work"), "settings": settings}
        (place / "job.json").write_text(json.dumps(job), encoding="utf-8")
        command: list[str | Path] = [python, "-m", f"bench.drivers.{driver}", place / "job.json", place / "result"]
        environment = {
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_CACHE": str(place / "datasets"),
            "CUDA_VISIBLE_DEVICES": "",
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPATH": str(_process.ROOT / "src") if driver == "texts_ours" else "",
        }
        _process.run(command, log=place / "log", environment=environment)
        result = json.loads((place / "result").read_text(encoding="utf-8"))
    rate = texts.stat().st_size / 1e6 / result["cpu_s"]
    return {"mb_per_cpu_s": rate, **{name: float(result[name]) for name in ("seconds", "peak_mb", "left")}}


def _pythons(peers: dict[str, Any], wanted: set[str], tables: Tables) -> dict[str, Path]:
    """Contender -> its python; who cannot be installed stays out, with the reason in the notes."""
    found: dict[str, Path] = {}
    for name in (name for name in peers if name in wanted):
        try:
            found[name] = _environments.python_of(peers[name]["environment"], peers[name]["packages"])
        except _process.Failed as error:
            tables.notes.append(f"{name} cannot be installed: {error}")
    return found
