"""What is pasted, in the hands of those who read it: engines that run here, and the vendors' own clients."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrl_sweep.deploying.targets import target_named, target_texts
from mrl_sweep.types import Configuration

sizes = Configuration.parse
PARSED_ELSEWHERE = "is of the group `databases`: make test installs it"


def pasted(name: str, text: str, full: int = 64) -> dict[str, str]:
    """What is pasted for this configuration, by purpose."""
    return {one.purpose: words for one, words in target_named(name).paste(sizes(text), full)}


def nearest(documents: Any, queries: Any, k: int = 10) -> list[set[int]]:
    """The rows of the best documents of each query by cosine."""
    cosine = (queries @ documents.T) / np.linalg.norm(documents, axis=1)
    return [set(np.argsort(-scores)[:k].tolist()) for scores in cosine]


def drawn(n: int = 1500, dim: int = 64) -> tuple[Any, Any]:
    generator = np.random.default_rng(3)
    return generator.standard_normal((n, dim)).astype("f4"), generator.standard_normal((20, dim)).astype("f4")


@pytest.mark.parametrize("name", target_texts())
def test_every_statement_fills_in_and_every_json_body_parses(name: str) -> None:
    target = target_named(name)
    for offer in target.offers:
        pasted = [target.paste(sizes(f"512:{offer.precision}:exact{how}"), 1536) for how in ("", ":rescore=4x")]
        for statement, text in (each for statements in pasted for each in statements):
            assert "$" not in re.sub(r"\$(vectorSearch|query)", "", text)
            if statement.language == "json":
                assert "$dim" not in statement.text or "512" in text
                assert isinstance(json.loads(text), dict)
            elif statement.language == "python":
                compile(text, name, "exec")


@pytest.mark.parametrize("precision", ["float32", "binary"])
def test_sqlite_vec_takes_what_is_pasted_returns_what_is_nearest_and_weighs_what_is_planned(precision: str) -> None:
    """Python's own sqlite3 is often built without extensions; apsw brings an SQLite that takes them."""
    apsw, sqlite_vec = pytest.importorskip("apsw"), pytest.importorskip("sqlite_vec")
    database = apsw.Connection(":memory:")
    database.enable_load_extension(True)
    database.load_extension(sqlite_vec.loadable_path())
    target, shipped = target_named("sqlitevec"), sizes(f"64:{precision}:exact")
    pasted = {one.purpose: text for one, text in target.paste(shipped, 128)}
    generator = np.random.default_rng(3)
    documents, query = generator.standard_normal((1500, 64)).astype("f4"), generator.standard_normal(64).astype("f4")
    database.execute(pasted["table"])
    for row, vector in enumerate(documents):
        database.execute(pasted["insert"], {"id": row, "vector": vector.tobytes()})
    returned = [row for (row,) in database.execute(pasted["query"], {"query": query.tobytes()})]
    if precision == "binary":
        distance = ((documents > 0) != (query > 0)).sum(axis=1)
    else:
        distance = -(documents @ query) / np.linalg.norm(documents, axis=1)
    assert sorted(distance[returned].tolist()) == sorted(distance.tolist())[:10], "ties may be returned in any order"
    ((size,),) = database.execute("SELECT sum(length(vectors)) FROM items_vector_chunks00")
    assert size == target.index_bytes(shipped, 1500)
    with pytest.raises(apsw.SQLError, match="maximum 8192"):
        database.execute(pasted["table"].replace("items", "wide").replace("64", "8193"))


@pytest.mark.parametrize(
    ("text", "least"), [("64", 0.85), ("64:int8:exact", 0.85), ("64:rabitq:exact", 0.25), ("64:rabitq:exact:rescore=4x", 0.5)]
)
def test_lancedb_takes_what_is_pasted_and_returns_what_is_nearest(text: str, least: float, tmp_path: Path) -> None:
    lancedb = pytest.importorskip("lancedb")
    pasted = {one.purpose: words for one, words in target_named("lancedb").paste(sizes(text), 64)}
    generator = np.random.default_rng(3)
    documents, queries = generator.standard_normal((1500, 64)).astype("f4"), generator.standard_normal((20, 64)).astype("f4")
    rows = [{"id": row, "vector": vector.tolist()} for row, vector in enumerate(documents)]
    table = lancedb.connect(str(tmp_path)).create_table("items", rows)
    exec(pasted["index"], {"table": table})
    cosine = (queries @ documents.T) / np.linalg.norm(documents, axis=1)
    shared = 0
    for scores, query in zip(cosine, queries, strict=True):
        names: dict[str, Any] = {"table": table, "query": query}
        exec(pasted["query"], names)
        shared += len({*names["ids"]} & {*np.argsort(-scores)[:10].tolist()})
    assert shared / 200 >= least


def share_of(found: Callable[[Any], list[int]], documents: Any, queries: Any) -> float:
    """The share of the ten nearest that a search returns."""
    best = nearest(documents, queries)
    return float(np.mean([len(rows & {*found(query)}) / 10 for rows, query in zip(best, queries, strict=True)]))


QDRANT = [
    "64",
    "64:float16:exact",
    *(f"64:{p}:exact{how}" for p in ("int8", "binary", "SQtqmse4") for how in ("", ":rescore=4x")),
]


@pytest.mark.parametrize("text", QDRANT)
def test_qdrant_takes_what_is_pasted_without_a_word_that_it_does_not_know(text: str) -> None:
    """Its client's local mode searches exhaustively: what it shows is that the bodies are whole and mean what they say."""
    client = pytest.importorskip("qdrant_client", reason=f"qdrant-client {PARSED_ELSEWHERE}")
    documents, queries = drawn()
    statements = {purpose: json.loads(words) for purpose, words in pasted("qdrant", text).items()}
    body = client.models.CreateCollection.model_validate(statements["collection"])
    assert body.model_dump(mode="json", exclude_none=True, exclude_unset=True) == statements["collection"]
    local = client.QdrantClient(":memory:")
    local.create_collection(
        "items", vectors_config=body.vectors, hnsw_config=body.hnsw_config, quantization_config=body.quantization_config
    )
    rows = list(range(len(documents)))
    local.upsert("items", client.models.Batch(ids=rows, vectors=documents.tolist()))

    def found(query: Any) -> list[int]:
        asked = client.models.QueryRequest.model_validate({**statements["query"], "query": query.tolist()})
        kept = asked.model_dump(mode="json", exclude_unset=True, exclude={"query"})
        assert kept == {key: value for key, value in statements["query"].items() if key != "query"}
        hits = local.query_points("items", query=asked.query, limit=asked.limit, search_params=asked.params).points
        return [hit.id for hit in hits]

    assert share_of(found, documents, queries) == 1


MILVUS = ["64", *(f"64:{p}:exact{how}" for p in ("float16", "SQbf16", "int8", "rabitq") for how in ("", ":rescore=4x@64"))]


@pytest.mark.parametrize("text", MILVUS)
def test_milvus_takes_what_is_pasted_and_returns_what_is_nearest(text: str, tmp_path: Path) -> None:
    pymilvus = pytest.importorskip("pymilvus", reason=f"pymilvus {PARSED_ELSEWHERE}")
    pytest.importorskip("milvus_lite", reason=f"milvus-lite {PARSED_ELSEWHERE}")
    documents, queries = drawn(3000)
    statements = {purpose: json.loads(words) for purpose, words in pasted("milvus", text).items()}
    client = pymilvus.MilvusClient(str(tmp_path / "items.db"))
    schema = client.create_schema()
    schema.add_field("id", pymilvus.DataType.INT64, is_primary=True)
    schema.add_field("embedding", pymilvus.DataType.FLOAT_VECTOR, dim=64)
    index = client.prepare_index_params()
    index.add_index("embedding", **statements["index"])
    client.create_collection("items", schema=schema, index_params=index)
    client.insert("items", [{"id": row, "embedding": vector.tolist()} for row, vector in enumerate(documents)])
    client.load_collection("items")

    def found(query: Any) -> list[int]:
        (hits,) = client.search(
            "items", data=[query.tolist()], anns_field="embedding", limit=10, search_params=statements["query"]
        )
        return [hit["id"] for hit in hits]

    assert share_of(found, documents, queries) >= 0.8


@pytest.mark.parametrize(
    "text", ["64", "64:int8:exact", "64:int8:exact:rescore=4x", "64:rabitq:exact", "64:binary:exact:rescore=4x"]
)
def test_weaviates_own_client_writes_the_same_collection(text: str) -> None:
    config = pytest.importorskip("weaviate.classes.config")
    inner = pytest.importorskip("weaviate.collections.classes.config")
    index, quantizers = config.Configure.VectorIndex, config.Configure.VectorIndex.Quantizer
    one = sizes(text)
    limit = 40 if one.rescore else 0
    own = {
        "float32": quantizers.none,
        "int8": lambda: quantizers.rq(bits=8, rescore_limit=limit),
        "rabitq": lambda: quantizers.rq(bits=1, rescore_limit=limit),
        "binary": lambda: quantizers.bq(rescore_limit=limit),
    }[one.precision]()
    graph = index.hnsw(distance_metric=config.VectorDistances.COSINE, max_connections=32, ef=40, quantizer=own)
    written = inner._CollectionConfigCreate(
        name="Items", vector_config=config.Configure.Vectors.self_provided(vector_index_config=graph)
    )._to_dict()
    ours = json.loads(pasted("weaviate", text)["collection"])
    theirs = written["vectorConfig"]["default"]
    assert ours["class"] == written["class"]
    assert {key: ours[key] for key in ("vectorIndexType", "vectorIndexConfig")} == {
        key: theirs[key] for key in ("vectorIndexType", "vectorIndexConfig")
    }


@pytest.mark.parametrize("precision", ["float32", "int8", "int4", "rabitq"])
def test_elasticsearchs_own_client_knows_every_word_of_the_mapping_and_the_query(precision: str) -> None:
    types = pytest.importorskip("elasticsearch.dsl.types", reason=f"elasticsearch {PARSED_ELSEWHERE}")
    query = pytest.importorskip("elasticsearch.dsl.query")
    for how in ("", ":rescore=4x@64"):
        statements = {p: json.loads(words) for p, words in pasted("elasticsearch", f"64:{precision}:exact{how}").items()}
        options = statements["mapping"]["mappings"]["properties"]["embedding"]["index_options"]
        assert options.keys() <= types.DenseVectorIndexOptions.__init__.__annotations__.keys()
        assert f"'{options['type']}'" in str(types.DenseVectorIndexOptions.__init__.__annotations__["type"])
        knn = statements.get("query", {"knn": {}})["knn"]
        assert knn.keys() <= query.Knn.__init__.__annotations__.keys()
        assert knn.get("rescore_vector", {}).keys() <= types.RescoreVector.__init__.__annotations__.keys()


@pytest.mark.parametrize("text", ["64:int8:exact", "64:binary:exact:rescore=4x"])
def test_azures_own_client_reads_every_word_of_the_index(text: str) -> None:
    models = pytest.importorskip("azure.search.documents.indexes.models")
    index = models.SearchIndex(json.loads(pasted("azure", text, 128)["index"]))
    key, embedding = index.fields
    assert key.key
    assert (embedding.type, embedding.vector_search_dimensions) == ("Collection(Edm.Single)", 128)
    (profile,), (graph,), (codes,) = (
        index.vector_search.profiles,
        index.vector_search.algorithms,
        index.vector_search.compressions,
    )
    assert embedding.vector_search_profile_name == profile.name
    assert (profile.algorithm_configuration_name, profile.compression_name) == (graph.name, codes.compression_name)
    assert (graph.parameters.m, graph.parameters.metric) == (10, "cosine")
    assert codes.truncation_dimension == 64
    assert codes.rescoring_options.enable_rescoring == ("rescore" in text)


def test_the_words_of_redis_are_those_of_its_client() -> None:
    fields = pytest.importorskip("redis.commands.search.field", reason=f"redis {PARSED_ELSEWHERE}")
    given = {"TYPE": "FLOAT16", "DIM": 64, "DISTANCE_METRIC": "COSINE", "M": 16}
    written = " ".join(map(str, fields.VectorField("embedding", "HNSW", given).redis_args()))
    assert pasted("redis", "64:float16:exact")["index"] == f"FT.CREATE items ON HASH PREFIX 1 item: SCHEMA {written}"
