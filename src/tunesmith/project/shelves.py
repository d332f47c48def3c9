"""Every shelf of the house in one list, for `tunesmith list` and the reference page."""

from __future__ import annotations

from tunesmith.core.shelf import Shelf

SHELVES = (
    Shelf("sources", "tunesmith.data.read"),
    Shelf("formats", "tunesmith.data.formats"),
    Shelf("cleaners", "tunesmith.data.clean"),
    Shelf("filters", "tunesmith.data.filter"),
    Shelf("extractors", "tunesmith.data.extract"),
    Shelf("synthesizers", "tunesmith.data.synthesize"),
    Shelf("augmenters", "tunesmith.data.augment"),
    Shelf("executors", "tunesmith.project.executors"),
    Shelf("strategies", "tunesmith.tune.strategies"),
    Shelf("terms", "tunesmith.tune.terms"),
    Shelf("weightings", "tunesmith.tune.weightings"),
    Shelf("trackers", "tunesmith.tune.trackers"),
    Shelf("paths", "tunesmith.reason.paths"),
    Shelf("checks", "tunesmith.reason.checks"),
    Shelf("fusions", "tunesmith.reason.fusions"),
    Shelf("retrievers", "tunesmith.reason.retrieve"),
    Shelf("scorers", "tunesmith.evaluate.scorers"),
    Shelf("metrics", "tunesmith.evaluate.metrics"),
    Shelf("attacks", "tunesmith.evaluate.attacks"),
    Shelf("detectors", "tunesmith.evaluate.detectors"),
    Shelf("recipes", "tunesmith.project.recipes"),
)
