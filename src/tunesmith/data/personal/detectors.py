"""All detectors with the classes that each finds."""

from __future__ import annotations

from tunesmith.data.personal.addresses import addresses
from tunesmith.data.personal.contacts import emails, ips, phones
from tunesmith.data.personal.findings import Detector, Kind
from tunesmith.data.personal.names_en import english_names
from tunesmith.data.personal.names_zh import chinese_names
from tunesmith.data.personal.numbers import digit_numbers, ibans, papers

DETECTORS: tuple[tuple[frozenset[Kind], Detector], ...] = (
    (frozenset({"resident_id", "bank_card", "ssn"}), digit_numbers),
    (frozenset({"iban"}), ibans),
    (frozenset({"passport", "plate"}), papers),
    (frozenset({"email"}), emails),
    (frozenset({"ip"}), ips),
    (frozenset({"phone"}), phones),
    (frozenset({"address"}), addresses),
    (frozenset({"name"}), english_names),
    (frozenset({"name"}), chinese_names),
)
