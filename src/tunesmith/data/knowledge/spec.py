"""The part `facts` of the section `data`: what is done with the triples that extractors find."""

from __future__ import annotations

from pydantic import Field

from tunesmith.core.spec import Section


class Links(Section):
    """How triples are linked into a graph."""

    synonyms: str = Field(
        "",
        description="table that says which names mean the same: an OBO file, or CSV or TSV with name and synonym; or "
        "`hpo`: the Human Phenotype Ontology (English), 10 MB, brought on first use",
    )
    functional: tuple[str, ...] = Field(
        (), description="relations with one object for each subject; several objects are counted as conflicts"
    )
