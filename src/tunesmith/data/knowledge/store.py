"""A graph on disk: Parquet for programs, GraphML for other graph tools. Either holds every triple with its evidence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import networkx as nx

from tunesmith.core.errors import CorruptArtifact
from tunesmith.core.types import Evidence, Triple
from tunesmith.data.knowledge.graph import KnowledgeGraph
from tunesmith.data.knowledge.linking import Synonyms

_PLAIN = [name for name in Triple.model_fields if name != "evidence"]
_PLACE = list(Evidence.model_fields)
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_parquet(graph: KnowledgeGraph, path: Path) -> int:
    """Write every triple as one row, with `subject_node` and `object_node`, the nodes it was linked to; returns rows.

    The same graph gives the same bytes (same pyarrow version).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {float: pa.float64(), bool: pa.bool_(), int: pa.int64(), str: pa.string()}
    fields = {**Triple.model_fields, **Evidence.model_fields}
    schema = pa.schema(
        [pa.field(name, kinds[fields[name].annotation]) for name in [*_PLAIN, *_PLACE]]  # type: ignore[index]
        + [pa.field(name, pa.string()) for name in ("subject_node", "object_node")]
    )
    rows = [
        {**_flat(triple), "subject_node": graph.key(triple.subject), "object_node": graph.key(triple.object)}
        for triple in graph.triples()
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, compression="zstd")
    return len(rows)


def read_parquet(path: Path, synonyms: Synonyms | None = None) -> KnowledgeGraph:
    """The graph that `write_parquet` wrote; the table of synonyms is not in the file and is given again.

    Raises:
        CorruptArtifact: the file is missing, or was not written by `write_parquet`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path).to_pylist()
        return KnowledgeGraph.of([_triple(row) for row in rows], synonyms)
    except (OSError, pa.ArrowInvalid, KeyError, ValueError) as error:
        raise CorruptArtifact(f"{path} does not hold triples: {error}") from error


def write_graphml(graph: KnowledgeGraph, path: Path) -> int:
    """Write things as nodes (`name`, `kind`) and every triple as one edge with all its fields; returns edges.

    Characters that XML cannot hold become U+FFFD; `write_parquet` keeps them.
    """
    plain: Any = nx.MultiDiGraph()
    for key in graph.nodes:
        plain.add_node(_safe(key), name=_safe(graph.name(key)), kind=graph.kind(key))
    for triple in graph.triples():
        fields = {name: _safe(value) for name, value in _flat(triple).items()}
        plain.add_edge(_safe(graph.key(triple.subject)), _safe(graph.key(triple.object)), **fields)
    nx.write_graphml_xml(plain, path)
    return int(plain.number_of_edges())


def read_graphml(path: Path, synonyms: Synonyms | None = None) -> KnowledgeGraph:
    """The graph that `write_graphml` wrote.

    Raises:
        CorruptArtifact: the file is missing, is no GraphML, or its edges are not triples.
    """
    try:
        plain = nx.read_graphml(path, force_multigraph=True)
        empty = {
            name: ""
            for name, kind in {**Triple.model_fields, **Evidence.model_fields}.items()
            if kind.annotation is str
        }
        triples = [_triple({**empty, **fields}) for _, _, fields in plain.edges(data=True)]  # it leaves out empty texts
        return KnowledgeGraph.of(triples, synonyms)
    except (OSError, SyntaxError, KeyError, ValueError, nx.NetworkXError) as error:
        raise CorruptArtifact(f"{path} does not hold triples: {error}") from error


def _flat(triple: Triple) -> dict[str, Any]:
    fields = triple.model_dump()
    return {**{name: fields[name] for name in _PLAIN}, **fields["evidence"]}


def _triple(row: dict[str, Any]) -> Triple:
    evidence = Evidence.model_validate({name: row[name] for name in _PLACE})
    return Triple.model_validate({**{name: row[name] for name in _PLAIN}, "evidence": evidence})


def _safe(value: Any) -> Any:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", value) if isinstance(value, str) else value
