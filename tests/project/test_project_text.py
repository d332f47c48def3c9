"""A project with a source of plain text, previewed as it will be trained."""

from __future__ import annotations

from pathlib import Path

from project_fakes import project_folder, settings
from tunesmith.core.events import Events
from tunesmith.project.preview import preview

TEXT = "Grass is green, and so are leaves.\n\nThe sky is blue.\n"


def with_text(folder: Path) -> Path:
    data = settings()["data"]
    data["sources"].append({"use": "text", "path": "notes.txt", "unit": "paragraph", "licence": "MIT"})
    (folder / "notes.txt").write_text(TEXT, encoding="utf-8")
    return project_folder(folder, data=data)


def test_preview_shows_every_token_of_a_text_as_trained(tmp_path: Path) -> None:
    """96 rows of the table, then two paragraphs; only a text's first token has none before it to be predicted from."""
    [shown] = preview([with_text(tmp_path)], model=None, rows=98, events=Events())
    assert shown["total"] == 98
    said = [row["pieces"] for row in shown["rows"][-2:]]
    trained = ["".join(piece["text"] for piece in pieces if piece["trained"]) for pieces in said]
    assert [text.endswith("<|endoftext|>") for text in trained] == [True, True]
    assert "green, and so are leaves." in trained[0] and "sky is blue." in trained[1]
    assert [row["tokens"] - row["trained"] for row in shown["rows"][-2:]] == [1, 1]
