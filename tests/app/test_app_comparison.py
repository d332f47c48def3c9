"""What `tunesmith compare` shows on a terminal of 80 columns."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from tunesmith.app.comparison import comparison

SCORE = {
    "scorer": "exact_match",
    "first": 0.557,
    "second": 0.486,
    "value": -0.071,
    "low": -0.184,
    "high": 0.045,
    "p_adjusted": 0.6646,
    "better": 6,
    "worse": 11,
    "n": 70,
}


def measured(value: float | None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": 70}


def test_everything_stands_whole_in_eighty_columns() -> None:
    """Nothing is cut; a latency has its unit and interval; what neither report has is not a line of dashes."""
    result = {
        "sides": [{"name": "run-c6bd134a6493742a"}, {"name": "run-344a0e9355a72650"}],
        "rows": {"both": 70},
        "scores": [SCORE, {**SCORE, "scorer": "label", "low": None, "high": None}],
        "measures": [
            {"name": "general_perplexity_ratio", "unit": "ratio", "first": measured(1.0031), "second": measured(1.02)},
            {"name": "latency_p95_ms", "unit": "ms", "first": measured(3804, 3700, 3900), "second": None},
            {"name": "rows_extracted", "unit": "share", "first": measured(None), "second": None},
        ],
        "changed": {"worse": [{"place": "test.csv:7", "first": "yes", "second": "no", "reference": "yes"}]},
        "notes": ["the [snapshots] differ"],
    }
    console = Console(width=80, record=True, no_color=True)
    comparison(console, result)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    for whole in ("exact_match", "difference", "-0.184 … +0.045", "0.6646", "general_perplexity_ratio", "1.003"):
        assert whole in text
    assert "3804 ms (3700 … 3900)" in text and "rows_extracted" not in text
    assert "test.csv:7: 'yes' -> 'no' ('yes')" in text and "[snapshots]" in text
