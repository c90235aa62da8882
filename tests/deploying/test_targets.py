"""The file of targets: its schema, and every limit, byte and statement that follows from it."""

from __future__ import annotations

from dataclasses import fields
from datetime import date
from typing import get_type_hints

import pytest

from mrl_sweep.deploying.index_spec import index_bytes
from mrl_sweep.deploying.layouts import LAYOUTS, VectorType, hnsw_bytes, table_bytes
from mrl_sweep.deploying.targets import (
    ANY_PRECISION,
    Offer,
    Statement,
    Target,
    check_target,
    target_advice,
    target_named,
    target_texts,
)
from mrl_sweep.errors import InputError
from mrl_sweep.types import Configuration


def sizes(text: str) -> Configuration:
    return Configuration.parse(text)


def test_every_packaged_row_has_a_source_a_date_and_a_layout() -> None:
    for target in map(target_named, target_texts()):
        assert target.offers, target.name
        for offer in target.offers:
            assert offer.source, target.name
            assert offer.checked >= date(2026, 1, 1), target.name
            assert offer.verified in ("run", "vendor", "unverified")
            assert offer.layout in LAYOUTS


def test_every_packaged_value_is_of_its_columns_kind() -> None:
    for target in map(target_named, target_texts()):
        rows: tuple[Target | Offer | Statement, ...] = (target, *target.offers, *target.statements)
        for row in rows:
            kinds = get_type_hints(type(row))
            plain = {one.name: getattr(row, one.name) for one in fields(row) if kinds[one.name] in (str, int, bool, date)}
            assert {name: type(value) for name, value in plain.items()} == {name: kinds[name] for name in plain}, target.name


def test_every_packaged_statement_is_for_what_its_target_offers() -> None:
    for target in map(target_named, target_texts()):
        named = {word for one in target.statements for word in one.precision.split()}
        assert named <= {*target.precisions, ANY_PRECISION}, target.name


def test_targets_that_the_command_line_names_are_there() -> None:
    named = "faiss pgvector qdrant elasticsearch opensearch weaviate milvus lancedb azure redis mongodb pinecone sqlitevec"
    assert set(named.split()) <= set(target_texts())


@pytest.mark.parametrize(
    ("name", "precision", "most"),
    [
        ("pgvector", "float32", 2000),
        ("pgvector", "float16", 4000),
        ("pgvector", "binary", 64_000),
        ("sqlserver", "float32", 1998),
        ("sqlserver", "float16", 3996),
        ("vectorize", "float32", 1536),
        *((name, "float32", 4096) for name in ("elasticsearch", "s3vectors", "databricks", "couchbase")),
        ("azure", "int8", 4096),
        *((name, "float32", 8192) for name in ("mongodb", "astra", "sagemaker")),
        ("turbopuffer", "float32", 10_752),
        ("opensearch", "float32", 16_000),
        ("pinecone", "float32", 20_000),
        ("milvus", "float32", 32_768),
        ("redis", "float32", 32_768),
        *((name, "float32", 65_535) for name in ("weaviate", "qdrant", "neptune")),
        ("libsql", "float32", 65_536),
        ("cratedb", "float32", 2048),
        ("neo4j", "float32", 4096),
        ("sqlitevec", "float32", 8192),
        ("sqlitevec", "binary", 8192),
    ],
)
def test_the_largest_vector_is_taken_and_one_more_is_refused(name: str, precision: str, most: int) -> None:
    target = target_named(name)
    assert target.refusal(sizes(f"{most}:{precision}:exact"), most) == ""
    assert f"up to {most:,} dimensions" in target.refusal(sizes(f"{most + 1}:{precision}:exact"), most + 1)
    assert target.index_bytes(sizes(f"{most + 1}:{precision}:exact"), 1000) is None


def test_a_precision_that_is_not_offered_is_refused_before_the_work() -> None:
    with pytest.raises(InputError, match=r"pgvector 0\.8 offers no int8") as refused:
        check_target(target_named("pgvector"), ["float32", "int8"])
    assert refused.value.hint == "--target pgvector has float32, float16, binary, LSH"
    check_target(target_named("faiss"), ["int8", "SQtqmse2"])


def test_an_unknown_target_gets_the_nearest_name() -> None:
    with pytest.raises(InputError, match="no target 'pgvectr'") as refused:
        target_named("pgvectr")
    assert refused.value.hint.startswith("did you mean pgvector? targets are: faiss, pgvector")


def test_pgvector_weighs_by_its_own_pages() -> None:
    target = target_named("pgvector")
    assert target.index_bytes(sizes("768:float16"), 10_000) == hnsw_bytes(VectorType.HALFVEC, 768, 10_000)
    assert target.index_bytes(sizes("768:float32:HNSW64"), 10_000) == hnsw_bytes(VectorType.VECTOR, 768, 10_000, m=64)
    assert target.disk_bytes(sizes("768:float16"), 1536, 10_000) == table_bytes(1536, 10_000)


def test_weaviate_rounds_rotated_codes_up() -> None:
    target = target_named("weaviate")
    flat = index_bytes("HNSW32,Flat", 100, 1000) or 0
    graph = flat - 4 * 100 * 1000
    assert target.index_bytes(sizes("100:int8:exact"), 1000) == graph + 1000 * (128 + 16)
    assert target.index_bytes(sizes("100:rabitq:exact"), 1000) == graph + 1000 * (256 // 8 + 8)
    assert target.index_bytes(sizes("65:rabitq:exact"), 1000) == target.index_bytes(sizes("256:rabitq:exact"), 1000)


def test_others_weigh_as_their_stand_in() -> None:
    assert target_named("qdrant").index_bytes(sizes("512:int8:exact"), 1000) == index_bytes("HNSW16,SQ8", 512, 1000)


def test_the_first_thing_said_is_what_does_not_fit() -> None:
    target = target_named("pgvector")
    said = target_advice(target, [3072, 2000, 1536, 1024, 768], target.precisions)
    assert said[0].message == (
        "full size, 3,072 dimensions, has no index in pgvector 0.8 as vector: "
        "it takes up to 2,000 as vector, 4,000 as halfvec, 64,000 as bit"
    )
    assert said[0].hint == "ship a smaller size, or --precision float16: halfvec"
    steps = [one.message for one in said if one.code == "target-steps"]
    assert steps[0] == "pgvector 0.8: as vector, 1,024 costs what 1,536 costs; the next step down is 768 (it begins at 948)"
    (small,) = (one.message for one in target_advice(target, [32, 24, 16, 8], {"binary"}) if one.code == "target-steps")
    assert small == "pgvector 0.8: as bit, 24, 16 and 8 cost what 32 costs"


def test_codes_that_are_compared_with_codes_are_told_from_those_with_float32_queries() -> None:
    target = target_named("pgvector")
    assert target.compares_codes
    assert not target_named("elasticsearch").compares_codes
    for symmetric, words in ((False, "; binary was measured with float32 queries"), (True, ", and so binary was measured")):
        (said,) = target_advice(target, [512], ["float32", "binary"], symmetric=symmetric)
        assert (said.code, said.message) == ("target-codes", f"pgvector 0.8 compares bit codes with codes{words}")
    assert target_advice(target, [512], ["LSH"]) == ()
    assert target.index_bytes(sizes("512:LSH:exact"), 1000) == target.index_bytes(sizes("512:binary:exact"), 1000)


def test_where_all_fits_and_every_dimension_counts_nothing_is_said() -> None:
    assert target_advice(target_named("faiss"), [3072, 256], ["float32"]) == ()
    assert target_advice(target_named("qdrant"), [1536, 768], ["float32", "int8"]) == ()


def test_a_rescored_configuration_gets_the_query_in_two_stages() -> None:
    target = target_named("pgvector")
    (once,) = [text for one, text in target.paste(sizes("512:binary"), 1536) if one.purpose == "query"]
    (twice,) = [text for one, text in target.paste(sizes("512:binary:exact:rescore=4x"), 1536) if one.purpose == "query"]
    assert "shortlist" not in once
    assert "LIMIT 40) AS shortlist ORDER BY embedding <=> %(query)s::vector LIMIT 10" in twice


@pytest.mark.parametrize(
    ("name", "text", "refusal"),
    [
        ("pgvector", "512:binary:exact:rescore=4x", ""),
        ("pgvector", "512:binary:exact:rescore=4x@512", "again by the 1,536 numbers that it stores, not by 512"),
        ("pgvector", "256:float32:exact:rescore=20@512", "not known to order a shortlist of float32 again"),
        ("pgvector", "pca:512:binary:exact:rescore=4x", "again by the 512 numbers that it stores, not by 1,536"),
        ("qdrant", "512:binary:exact:rescore=4x@512", ""),
        ("qdrant", "1536:binary:exact:rescore=4x", ""),
        ("qdrant", "512:binary:exact:rescore=4x", "again by the 512 numbers that it stores, not by 1,536: --target qdrant"),
        ("redis", "512:float16:exact:rescore=4x@512", "not known to order a shortlist of float16 again"),
        ("sqlitevec", "512:binary:exact:rescore=4x", "not known to order a shortlist of binary again"),
        ("faiss", "512:binary:exact:rescore=4x", ""),
    ],
)
def test_a_shortlist_is_ordered_again_as_the_target_does_or_not_at_all(name: str, text: str, refusal: str) -> None:
    """A database that is given cut vectors has nothing else to order them by: another quality than that of whole vectors."""
    said = target_named(name).refusal(sizes(text), 1536)
    assert refusal in said if refusal else said == ""


@pytest.mark.parametrize(
    ("name", "precision", "once", "again"),
    [
        ("qdrant", "binary", '"rescore": false', '"oversampling": 4'),
        ("elasticsearch", "rabitq", '"oversample": 0', '"oversample": 4'),
        ("opensearch", "binary", '"rescore": false', '"oversample_factor": 4'),
        ("weaviate", "int8", '"rescoreLimit": 0}', '"rescoreLimit": 40'),
        ("milvus", "int8", '"sq_type": "SQ8"}', '"refine_k": 4'),
        ("azure", "binary", '"enableRescoring": false', '"defaultOversampling": 4'),
    ],
)
def test_what_is_pasted_orders_again_where_that_was_proven_and_only_there(
    name: str, precision: str, once: str, again: str
) -> None:
    for how, words in (("", once), (":rescore=4x@512", again)):
        text = " ".join(text for _, text in target_named(name).paste(sizes(f"512:{precision}:exact{how}"), 1536))
        assert words in text
        assert (again in text) == bool(how)


def test_a_shortlist_that_is_ordered_again_comes_from_the_same_graph() -> None:
    target = target_named("weaviate")
    for how in ("", ":rescore=4x@512"):
        one = sizes(f"512:int8:exact{how}")
        assert '"maxConnections": 32' in target.paste(one, 1536)[0][1]
        assert target.index_bytes(one, 1000) == target.index_bytes(sizes("512:int8"), 1000)


@pytest.mark.parametrize(
    ("name", "text", "refused"),
    [
        *(("pgvector", f"512:float32:{index}", True) for index in ("Flat", "IVF1024,Flat", "IVF64_HNSW32,Flat", "SQ8")),
        *(("pgvector", f"512:float32:{index}", False) for index in ("HNSW32", "pgvector:hnsw(m=16,ef=40)", "exact")),
        *(("weaviate", "512:int8:Flat", True), ("weaviate", "512:int8:HNSW32", False)),
        *(("sqlitevec", "512:float32:HNSW32", True), ("sqlitevec", "512:float32:Flat", False)),
        *(("qdrant", "512:float32:Flat", False), ("faiss", "512:float32:IVF64,Flat", False)),
    ],
)
def test_bytes_of_a_targets_own_index_are_given_to_no_other_structure(name: str, text: str, refused: bool) -> None:
    said = target_named(name).refusal(sizes(text), 1536)
    assert said.startswith(f"bytes of {target_named(name).title} are known of ") if refused else said == ""


def test_nothing_is_pasted_into_a_target_that_refuses() -> None:
    assert target_named("pgvector").paste(sizes("3072"), 3072) == ()


def test_a_row_that_could_not_be_verified_says_so() -> None:
    for target in map(target_named, target_texts()):
        for offer in target.offers:
            if offer.verified == "vendor":
                assert offer.source.startswith("https://"), (target.name, offer.source)
