"""Personal data in the whole stage: nothing of it in what is written, and the secret decides the run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tunesmith.core.errors import UserError
from tunesmith.core.events import Events
from tunesmith.core.protocols import Context
from tunesmith.core.types import Profile
from tunesmith.data import stage
from tunesmith.data.spec import DataSpec

SECRET = "TUNESMITH_PSEUDONYM_SECRET"
MAIL = "mary.kettle@granite-bank.com"
PROFILE = Profile(problem="p", task="classification", labels=("good", "bad"))


def spec(action: str) -> DataSpec:
    table = {"use": "table", "path": "rows.jsonl", "template": "{text}", "answer": "label"}
    return DataSpec.model_validate({"sources": [table], "clean": [{"use": "personal_data", "action": action}]})


def written(root: Path, action: str) -> str:
    """Everything that the stage writes over two rows that name one address, as text; Parquet by its rows."""
    import pyarrow.parquet as pq

    rows = [f"Please write to {MAIL} about the loan.", f"The answer of {MAIL} came on Monday, with thanks."]
    lines = [json.dumps({"text": text, "label": label}) for text, label in zip(rows, PROFILE.labels, strict=True)]
    (root / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    out = root / f"out-{action}"
    out.mkdir()

    def nobody(_: object) -> None:
        raise NotImplementedError

    context = Context(root=root, out=out, scratch=root / action, events=Events(), seed=1, run="run-1", open=nobody)  # type: ignore[arg-type]
    stage.run(spec(action), profile=PROFILE, context=context)
    texts = [file.read_text(encoding="utf-8") for file in out.iterdir() if file.suffix != ".parquet"]
    return "\n".join([*texts, *map(str, pq.read_table(out / "examples.parquet").to_pylist())])


def test_a_mask_leaves_nothing_of_the_address(tmp_path: Path) -> None:
    told = written(tmp_path, "mask")
    assert MAIL not in told and told.count("[EMAIL]") >= 2


def test_one_address_gets_one_stand_in_in_every_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET, "a secret of the bank, kept apart")
    told = written(tmp_path, "pseudonymise")
    assert MAIL not in told and "kept apart" not in told
    assert len(set(re.findall(r"[\w.+-]+@[\w.-]+\w", told))) == 1


def test_another_secret_is_another_run_and_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "a", "label": "good"}\n', encoding="utf-8")
    marks = []
    for secret in ("the first secret of all", "the second secret of all"):
        monkeypatch.setenv(SECRET, secret)
        marks.append(stage.outside(spec("pseudonymise"), tmp_path))
    assert marks[0] != marks[1] and set(marks[0]) == {"rows.jsonl", SECRET}
    assert "secret of all" not in str(marks)
    assert set(stage.outside(spec("mask"), tmp_path)) == {"rows.jsonl"}
    monkeypatch.delenv(SECRET)
    with pytest.raises(UserError, match="needs a secret"):
        stage.outside(spec("pseudonymise"), tmp_path)
