"""The part `facts` of the section `data`: what is done with the triples that extractors find."""

from __future__ import annotations

from pydantic import Field

from tunesmith.core.spec import Section


class Links(Section):
    """How triples are linked into a graph."""

    synonyms: str = Field(
        "", description="table that says which names mean the same: an OBO file, or CSV or TSV with name and synonym"
    )
    functional: tuple[str, ...] = Field(
        (), description="relations with one object for each subject; several objects are counted as conflicts"
    )


class Facts(Links):
    """How triples are linked into a graph, and the rows that are made from it."""

    rows_per_fact: int = Field(
        0,
        ge=0,
        le=20,
        description="training rows made from each fact, in different words; 0: none (a fact seen once is not learnt: "
        "Allen-Zhu and Li 2023, arXiv:2309.14316; 6 is one of every kind)",
    )
    at_least: float = Field(
        0.5, ge=0.0, le=1.0, description="confidence below which a fact makes no rows (0.5 leaves out hedged ones)"
    )
