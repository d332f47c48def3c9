"""The report as PDF has the page's content in the page's order, in both languages; what printing lacks is told."""

from __future__ import annotations

import json
import stat
import unicodedata
from pathlib import Path

import pytest
from evaluate_fakes import FakeModel, colours, profile_of, right_answers
from test_evaluate_stage import evaluated

from tunesmith.core.errors import UserError
from tunesmith.core.types import Target
from tunesmith.evaluate.report import pdf
from tunesmith.evaluate.report.pdf import VARIABLE, found_browser, on_paper, write_pdf
from tunesmith.evaluate.spec import EvaluateSpec

PAGE = '<html lang="en"><head><style>a</style></head><body><details><summary>e</summary>x</details><script>1</script>'


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of 60 rows with attributes and a target that is missed."""
    folder = tmp_path_factory.mktemp("report")
    rows = colours(60)
    expert = FakeModel("expert", right_answers(rows, wrong=20, says="紫色"))
    profile = profile_of(Target(measure="accuracy", at_least=0.9))
    evaluated(
        folder, expert=expert, base=FakeModel("base", {}), rows=rows, profile=profile, spec=EvaluateSpec(resamples=100)
    )
    return folder / "report" / "report.html"


def text_of(file: Path) -> str:
    pypdf = pytest.importorskip("pypdf", reason="needs pypdf: pip install tunesmith[documents]")
    said = "\n".join(part.extract_text() for part in pypdf.PdfReader(file).pages)
    return unicodedata.normalize("NFKC", said)  # some Chinese characters come back as radicals that look the same


needs_browser = pytest.mark.skipif(found_browser() is None, reason="needs Chromium, Chrome or Edge")


@needs_browser
@pytest.mark.slow
def test_the_pdf_says_what_the_page_says_verdict_first_plots_and_evidence_too(page: Path, tmp_path: Path) -> None:
    """Headings in the page's order, the plots' axes as text, the gates' evidence unfolded, every measure's name."""
    write_pdf(page, tmp_path / "new" / "report.pdf")
    said = text_of(tmp_path / "new" / "report.pdf")
    order = ["The expert is refused", "Targets", "Gates and their reasons", "All measures", "Provenance"]
    places = [said.index(words) for words in order]
    assert places == sorted(places)
    assert "100%" in said and '"target"' in said
    measures = json.loads((page.parent / "report.json").read_text(encoding="utf-8"))["measures"]
    squeezed = "".join(said.split())
    assert {m["name"] for m in measures if m["name"] not in squeezed} == set()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.pdf"]


@needs_browser
@pytest.mark.slow
def test_a_chinese_pdf_is_chinese(page: Path, tmp_path: Path) -> None:
    try:
        write_pdf(page, tmp_path / "report.pdf", language="zh")
    except UserError as error:
        if error.problems[0].code == "needs-font":
            pytest.skip("needs a Chinese font: fonts-noto-cjk")
        raise
    said = text_of(tmp_path / "report.pdf")
    assert said.index("专家模型被否决") < said.index("目标") and "The expert is refused" not in said


def test_paper_unfolds_what_a_reader_cannot_and_leaves_the_data_alone() -> None:
    made = on_paper(PAGE.replace("<script>1", "<script>'<details></head>'"))
    assert "<details open><summary>" in made and "<script>'<details></head>'</script>" in made
    assert made.index("@page") < made.index("</head>")


def test_all_that_is_missing_is_told_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No browser, and fontconfig knows no Chinese font: two problems, each with what to install."""
    (tmp_path / "report.html").write_text(PAGE.replace('"en"', '"zh"'), encoding="utf-8")
    lister = tmp_path / "fc-list"
    lister.write_text("#!/bin/sh\n", encoding="utf-8")
    lister.chmod(lister.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(pdf, "_PLACES", ())
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(UserError) as caught:
        write_pdf(tmp_path / "report.html", tmp_path / "report.pdf")
    assert [problem.code for problem in caught.value.problems] == ["needs-font", "needs-browser"]
    assert "fonts-noto-cjk" in str(caught.value) and VARIABLE in str(caught.value)


@pytest.mark.parametrize(
    ("words", "seconds", "told"),
    [("echo 'no display' >&2; exit 3", 30.0, "no display"), ("sleep 60", 0.3, "not done after 0.3 seconds")],
)
def test_a_browser_that_prints_nothing_is_told_and_ended(
    words: str, seconds: float, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The target keeps what it was, and nothing is left beside it."""
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\n{words}\n", encoding="utf-8")
    browser.chmod(browser.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv(VARIABLE, str(browser))
    (tmp_path / "report.html").write_text(PAGE, encoding="utf-8")
    (tmp_path / "report.pdf").write_text("old", encoding="utf-8")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=told):
        write_pdf(tmp_path / "report.html", tmp_path / "report.pdf", seconds=seconds)
    assert sorted(tmp_path.iterdir()) == before and (tmp_path / "report.pdf").read_text(encoding="utf-8") == "old"


def test_a_browser_that_is_named_and_not_there_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    (tmp_path / "report.html").write_text(PAGE, encoding="utf-8")
    with pytest.raises(UserError, match="needs-browser"):
        write_pdf(tmp_path / "report.html", tmp_path / "report.pdf")
    with pytest.raises(UserError, match="not-a-file"):
        write_pdf(tmp_path / "report.html", tmp_path)
