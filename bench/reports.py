"""Three whole projects from raw data to the full report: credit, PubMedQA, Chinese patients' questions.

Everything that evaluation can measure is switched on, and the targets stand in `bench/projects`, written before the
first run: a refused expert is as good an outcome as one that passed. Everything is kept in `.bench/reports`; what was
run once is read again. PubMedQA is trained with two seeds on the same rows, and the two reports are compared. Where a
Chromium is installed, each report is opened in it without a window and its picture laid beside it.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import _process, _projects, _raw
from bench._frame import Asked, Column, Outcome

PROJECTS = Path(__file__).parent / "projects"
FOLDER = _process.ROOT / ".bench" / "reports"
SPLITS = {"train": 160, "valid": 10, "test": 120}
"""PubMedQA's rows by split: few, for two cores that others use, and not left to `at_most_rows`, whose choice depends on
the seed."""

WITHOUT_SAFETY: dict[str, Any] = {"attacks": {}, "detect": {}, "memory": {}}
PICTURE = (1200, 16000)
"""Width and height in pixels; a full report is about 14,000 high."""

MEASURES = ("accuracy", "f1", "calibration_error", "retention", "attack_success", "ood_auroc", "membership_auc")
Shown = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """A project to report on.

    Args:
        rows: writes its data into a folder.
        seeds: of its trainings; those after the first run without the safety half and are held against the first.
    """

    rows: Callable[[Path], None]
    seeds: tuple[int, ...] = (0,)


def _credit(folder: Path) -> None:
    _write(folder / "applications.csv", _raw.credit())
    shutil.copy(_raw.DATA / "bbq" / "Age.jsonl", folder / "Age.jsonl")


def _pubmedqa(folder: Path) -> None:
    rows, start = _raw.pubmedqa(), 0
    for split, count in SPLITS.items():
        _write(folder / f"{split}.csv", rows[start : start + count])
        start += count


def _chinese(folder: Path) -> None:
    _write(folder / "questions.csv", _raw.chinese())


KNOWN = {
    "credit": Told(_credit),
    "pubmedqa": Told(_pubmedqa, seeds=(0, 1)),
    "chinese": Told(_chinese),
}


def run(asked: Asked) -> Outcome:
    """Each wanted project: made, run, told, pictured; where it has several seeds, they are compared."""
    outcome = Outcome(tuple(Column(name, name.replace("_", " "), 3, compared=False) for name in MEASURES))
    for name, told in KNOWN.items():
        if asked.only and not any(part.lower() in name for part in asked.only):
            continue
        shown = [_run(name, told, seed, asked) for seed in told.seeds]
        for seed, one in zip(told.seeds, shown, strict=True):
            outcome.add(f"{name}: base", figures(one, "base"))
            outcome.add(f"{name}: expert", figures(one, "expert"))
            picture = FOLDER / name / f"seed-{seed}.png"
            outcome.notes += [f"{name}, seed {seed}:", *verdicts(one), *_picture(Path(one["report"]), picture)]
        if len(shown) > 1:
            outcome.notes.append(_compare(name, shown))
    return outcome


def make(name: str, folder: Path) -> None:
    """Write the project of that name with its data; what lies in the folder is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    KNOWN[name].rows(folder / "data")
    shutil.copy(PROJECTS / f"{name}.yaml", folder / "start.yaml")


def _run(name: str, told: Told, seed: int, asked: Asked) -> Shown:
    folder = FOLDER / name
    if not (folder / "start.yaml").is_file():
        make(name, folder)
    changes: dict[str, Any] = {"evaluate": {}}
    if seed != told.seeds[0]:
        first = json.loads((folder / f"seed-{told.seeds[0]}.json").read_text(encoding="utf-8"))
        place = Path(first["report"]).parent.relative_to(folder.resolve())
        changes["evaluate"] = {"safety": WITHOUT_SAFETY, "other_seeds": [str(place)]}
        changes["profile"] = {"targets": _unguarded(folder)}
    if name_of := _named(asked.model):
        changes["model"] = {"use": name_of}
    if asked.rows:
        changes["data"] = {"at_most_rows": {"train": asked.rows}}
    shown = _projects.run(folder, changes, asked, seed=seed)
    (folder / f"seed-{seed}.json").write_text(json.dumps(shown, indent=1), encoding="utf-8")
    return shown


def _named(model: Path) -> str:
    """The catalog name of a model's folder, which a reader elsewhere can use; empty where it has none."""
    from tunesmith.models import catalog
    from tunesmith.models.load import locate
    from tunesmith.models.spec import ModelSpec

    for entry in catalog.entries():
        found = locate(ModelSpec(use=entry.name), Path())
        if found is not None and found.path == model:
            return entry.name
    return ""


def _unguarded(folder: Path) -> list[dict[str, Any]]:
    """The project's targets but for those of the safety half."""
    from ruamel.yaml import YAML

    from tunesmith.evaluate.safety_spec import SAFETY

    project = YAML(typ="safe", pure=True).load((folder / "start.yaml").read_text(encoding="utf-8"))
    return [target for target in project["profile"]["targets"] if target["measure"] not in SAFETY]


def figures(shown: Shown, model: str) -> dict[str, float]:
    """The measures of one model over all rows that were measured."""
    known = {m["name"]: m["value"] for m in shown["measures"] if (m["model"], m["slice"]) == (model, "all")}
    return {name: known[name] for name in MEASURES if known.get(name) is not None}


def verdicts(shown: Shown) -> Iterator[str]:
    """Every gate with its verdict, and the reasons that did not pass."""
    for gate in shown["gates"]:
        yield f"  {gate['gate']} {gate['verdict']}"
        for reason in gate["reasons"]:
            if reason["verdict"] != "passed":
                yield f"    {reason['verdict']}: {reason['message']}"


def _compare(name: str, shown: list[Shown]) -> str:
    sides = [Path(one["report"]).parent for one in shown]
    log = FOLDER / name / "compare.txt"
    _process.run([*_projects.PROGRAM, "compare", *sides, "--project", FOLDER / name], log=log)
    return f"  seeds {', '.join(map(str, KNOWN[name].seeds))} compared: {log}"


def _picture(report: Path, picture: Path) -> list[str]:
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next((found for name in names if (found := shutil.which(name))), None)
    told = [f"  report: {report}"]
    if browser is None:
        return [*told, "  no picture: no Chromium is installed"]
    size = f"--window-size={PICTURE[0]},{PICTURE[1]}"
    command = [browser, "--headless", "--no-sandbox", "--hide-scrollbars", "--virtual-time-budget=8000"]
    _process.run([*command, f"--screenshot={picture}", size, report.as_uri()], log=picture.with_suffix(".log"))
    return [*told, f"  picture: {picture}"]


def _write(path: Path, rows: _raw.Table) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
