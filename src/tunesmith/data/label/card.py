"""What is written beside exported labels, so that gate G1 can ask how far annotators agreed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from tunesmith.core.errors import UserError
from tunesmith.core.files import read_json, write_json
from tunesmith.core.ids import digest_file
from tunesmith.core.types import Reason
from tunesmith.data.label.agreement import TENTATIVE, Agreement, Estimate, agreement_reason

_SUFFIX = ".agreement.json"


def card_of(file: Path) -> Path:
    """Where the card of an exported file lies."""
    return file.with_name(file.name + _SUFFIX)


def write_card(file: Path, *, queue: str, found: Agreement) -> str:
    """Keep the agreement with the digest of the file that it speaks of; returns the digest."""
    digest = digest_file(file)
    write_json(card_of(file), {"queue": queue, "sha256": digest, **asdict(found)})
    return digest


def file_reason(file: Path, *, least: float = TENTATIVE) -> Reason | None:
    """What G1 says of the labels in `file`; None for a file that was not exported from a queue.

    Unknown where the card is broken, or was not written of this content: whoever edits labels afterwards has labels
    that nobody agreed on.
    """
    card = card_of(file)
    if not card.is_file():
        return None
    try:
        held: Any = read_json(card)
        alpha = Estimate(**{name: held["alpha"][name] for name in ("value", "low", "high", "rows")})
        sound = all(v is None or (isinstance(v, int | float) and -1.0 <= v <= 1.0) for v in _figures(alpha))
        same = held["sha256"] == digest_file(file)
    except (UserError, OSError, TypeError, KeyError):
        return agreement_reason(None, least=least, where=file.name, damage=f"{card.name} cannot be read")
    if not sound:
        return agreement_reason(None, least=least, where=file.name, damage=f"{card.name} holds no such coefficient")
    damage = "" if same else "the file was changed after the labels were exported"
    return agreement_reason(alpha, least=least, where=file.name, damage=damage)


def _figures(alpha: Estimate) -> tuple[float | None, ...]:
    return alpha.value, alpha.low, alpha.high
