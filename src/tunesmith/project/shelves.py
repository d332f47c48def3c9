"""Every shelf of the house in one list, for `tunesmith list` and the reference page."""

from __future__ import annotations

from tunesmith.core.shelf import Shelf

SHELVES = (
    Shelf("sources", "tunesmith.data.read"),
    Shelf("cleaners", "tunesmith.data.clean"),
    Shelf("extractors", "tunesmith.data.extract"),
    Shelf("strategies", "tunesmith.tune.strategies"),
    Shelf("terms", "tunesmith.tune.terms"),
    Shelf("weightings", "tunesmith.tune.weightings"),
    Shelf("trackers", "tunesmith.tune.trackers"),
    Shelf("paths", "tunesmith.reason.paths"),
    Shelf("scorers", "tunesmith.evaluate.scorers"),
    Shelf("metrics", "tunesmith.evaluate.metrics"),
    Shelf("recipes", "tunesmith.project.recipes"),
)
