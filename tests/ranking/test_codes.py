"""Every precision is scored as FAISS scores its codes, weighs what FAISS writes, and ranks by the counts of a full sort."""

from __future__ import annotations

import pickle
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ranking_cases import DIMS, make_case

from benchmarks.synthetic import rank_grid
from mrl_sweep.errors import InputError
from mrl_sweep.execution.threads import LocalThreads
from mrl_sweep.measures.measure import parse_measure
from mrl_sweep.measures.score import score
from mrl_sweep.ranking.codes.precision import ALL, HAMMING, bytes_per_vector, code_of, parse_precision
from mrl_sweep.ranking.codes.scalar import rounded
from mrl_sweep.ranking.compiled import to_half
from mrl_sweep.ranking.exact import TRAINING_ROWS, RankOptions, coded_spaces, training_rows
from mrl_sweep.ranking.kernel import MachineKernel
from mrl_sweep.ranking.pass_plan import unit_prefix
from mrl_sweep.ranking.portable import PortableKernel
from mrl_sweep.ranking.ranked_space import prefixes, random_rotation
from mrl_sweep.types import NOT_RETRIEVED, Configuration, Qrels, Similarity, Vectors

FACTORIES = {"float16": "SQfp16", "int8": "SQ8", "int4": "SQ4", "rabitq": "RaBitQ"} | {
    name: name
    for name in ("SQ6", "SQbf16", "SQtqmse1", "SQtqmse2", "SQtqmse8", "SQtq2", "SQtq5", "RaBitQ2", "RaBitQ4", "RaBitQ9")
}
CODES = (*ALL[1:], HAMMING, "SQtqmse2", "RaBitQ4")


def faiss_index(factory: Any, rows: Any, *, add: Any = True) -> Any:
    index: Any = faiss.index_factory(rows.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    index.train(rows)
    if add:
        index.add(rows)
    if "RaBitQ" in factory:
        index.qb = 0
    return index


def faiss_scores(index: Any, queries: Any) -> Any:
    """(n_queries, n_documents) what an exhaustive search gives every document."""
    scores, rows = index.search(queries, index.ntotal)
    out = np.empty_like(scores)
    np.put_along_axis(out, rows, scores, axis=1)
    return out


def vectors_of(seed: int, n_docs: int = 900, dim: int = 96, n_queries: int = 40) -> Any:
    """Documents in clusters, as texts are, and queries near some of them."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((30, dim))
    docs = (centres[rng.integers(0, 30, n_docs)] + rng.standard_normal((n_docs, dim)) + 0.3).astype(np.float32)
    queries = (docs[rng.integers(0, n_docs, n_queries)] + 0.8 * rng.standard_normal((n_queries, dim))).astype(np.float32)
    return docs, queries


def judged(rng: Any, scores: Any, each: Any = 6) -> Any:
    """Judgments of documents near the top of each query, where measures look."""
    rows = np.concatenate([rng.choice(np.argsort(-row)[:60], each, replace=False) for row in scores])
    return Qrels(np.arange(len(scores) + 1) * each, rows.astype(np.int64), rng.integers(1, 4, len(rows)))


@pytest.mark.parametrize("dim", [17, 64, 96])
@pytest.mark.parametrize("precision", FACTORIES)
def test_scores_and_bytes_are_those_of_faiss(precision: Any, dim: int) -> None:
    docs, queries = (unit_prefix(rows, dim) for rows in vectors_of(dim))
    index = faiss_index(FACTORIES[precision], docs)
    coder = code_of(precision).fit(docs)
    scores, asked = faiss_scores(index, queries), coder.queries(queries)
    if precision == "SQbf16" and np.abs(scores - asked @ coder.documents(docs).T).max() > 2e-6:
        asked = coder.documents(queries)  # where the processor multiplies bfloat16, FAISS rounds queries too
    difference = scores - asked @ coder.documents(docs).T
    np.testing.assert_allclose(difference - difference.mean(axis=1, keepdims=True), 0, atol=2e-6)
    empty = len(faiss.serialize_index(faiss_index(FACTORIES[precision], docs, add=False)))
    assert bytes_per_vector(precision, dim) == (len(faiss.serialize_index(index)) - empty) / len(docs)


@given(scale=st.floats(-9, 0), seed=st.integers(0, 2**16))
@settings(max_examples=30)
def test_half_precision_is_rounded_as_faiss_rounds_it(scale: float, seed: int) -> None:
    numbers = (np.random.default_rng(seed).standard_normal((50, 16)) * 10**scale).astype(np.float32)
    between = (numbers.view(np.uint32) & np.uint32(0xFFFFE000) | np.uint32(0x1000)).view(np.float32)
    for rows in (numbers, between, np.zeros((1, 16), np.float32)):
        index = faiss_index("SQfp16", rows, add=False)
        np.testing.assert_array_equal(rounded(rows), index.sa_decode(index.sa_encode(rows)))
        np.testing.assert_array_equal([to_half(one) for one in rows.ravel()[:40]], rounded(rows).ravel()[:40])


@pytest.mark.parametrize("spread", [1.0, 1e-5])
def test_signs_and_factors_of_rabitq_are_those_that_faiss_packs(spread: float) -> None:
    docs = unit_prefix(vectors_of(3)[0], 33)
    docs = np.ascontiguousarray(docs[:1] + spread * (docs - docs[:1]))  # also so near the centroid that FAISS divides by nothing
    docs[7] = 0
    packed = faiss_index("RaBitQ", docs, add=False).sa_encode(docs)
    signs = np.unpackbits(packed[:, :5], axis=1, count=33, bitorder="little")
    square, multiplier = np.ascontiguousarray(packed[:, 5:]).view(np.float32).T
    got = code_of("rabitq").fit(docs).documents(docs)
    np.testing.assert_array_equal(got[:, :-1] > 0, signs)
    np.testing.assert_allclose(np.abs(got[:, 0]), multiplier / np.sqrt(33), rtol=1e-6)
    np.testing.assert_allclose(got[:, -1], -square / 2, atol=1e-6)


@pytest.mark.parametrize("dim", [17, 64, 96])
@pytest.mark.parametrize("precision", ["float16", "int8", "int4", "rabitq", "RaBitQ4"])
def test_ranks_and_measures_are_those_of_faiss_search(precision: str, dim: int) -> None:
    """Where they are not, FAISS's float32 sums tell apart what the float64 judge does not, or the other way round: all named."""
    docs, queries = vectors_of(dim + 1)
    index = faiss_index(FACTORIES[precision], unit_prefix(docs, dim))
    theirs = faiss_scores(index, unit_prefix(queries, dim))
    qrels = judged(np.random.default_rng(0), theirs)
    ours = rank_grid([prefixes([dim], Similarity.COSINE)], [precision], Vectors((docs,)), queries, qrels, RankOptions())
    at = theirs[qrels.queries, qrels.rows][:, None]
    others = theirs[qrels.queries]
    above = (others > at).sum(axis=1)
    in_doubt = (np.abs(others - at) <= 1e-6).sum(axis=1) - 1
    a = ours.candidates.index(Configuration("prefix", dim, precision=precision))
    assert (np.abs(ours.above[a] - above) <= in_doubt).all()
    assert in_doubt.sum() <= 4  # named: hardly any document is in doubt at all
    measures = [parse_measure("nDCG@10"), parse_measure("R@100")]
    from_faiss = ours.__class__((ours.candidates[a],), len(docs), above[None], ((others == at).sum(axis=1) - 1)[None])
    sure = np.bincount(qrels.queries, in_doubt, len(queries)) == 0
    got, wanted = score(ours, qrels, measures), score(from_faiss, qrels, measures)
    np.testing.assert_allclose(got.values[a][:, sure], wanted.values[0][:, sure], atol=1e-12)
    assert abs(got.values[a][0].mean() - wanted.values[0][0].mean()) <= 1e-6 or not sure.all()


@pytest.mark.parametrize("symmetric", [False, True])
def test_one_bit_is_the_sign_and_ties_are_counted(symmetric: bool) -> None:
    docs, queries, qrels, own = make_case(3)
    precision = HAMMING if symmetric else "binary"
    ranks = rank_grid(
        [prefixes(DIMS, Similarity.COSINE)], [precision], Vectors((docs,)), queries, qrels, RankOptions(own_rows=own)
    )
    for dim in DIMS:
        a = ranks.candidates.index(Configuration("prefix", dim, precision=precision))
        signs, asked = np.where(docs[:, :dim] > 0, 1, -1), queries[:, :dim].astype(np.float64)
        scores = (np.where(asked > 0, 1, -1) if symmetric else asked) @ signs.T
        scores = scores.astype(np.float32)
        for p, (q, row) in enumerate(zip(qrels.queries, qrels.rows, strict=True)):
            if row in (-1, own[q]):
                assert ranks.above[a, p] == NOT_RETRIEVED
                continue
            others = np.delete(scores[q], [row, own[q]] if own[q] >= 0 else [row])
            assert ranks.above[a, p] == (others > scores[q, row]).sum()
            assert ranks.tied[a, p] == (others == scores[q, row]).sum()
    assert ranks.tied.max() > 40


def test_hamming_distances_are_those_of_faiss_lsh() -> None:
    docs, queries = (unit_prefix(rows, 64) for rows in vectors_of(9))
    index = faiss.IndexLSH(64, 64, False, False)
    index.add(docs)
    distances, rows = index.search(queries, len(docs))
    coder = code_of(HAMMING).fit(docs)
    ours = (64 - np.take_along_axis(coder.queries(queries) @ coder.documents(docs).T, rows, axis=1)) / 2
    np.testing.assert_array_equal(ours, distances)
    assert bytes_per_vector(HAMMING, 64) == index.code_size


@pytest.mark.parametrize("precision", [*FACTORIES, "binary", HAMMING])
@given(seed=st.integers(0, 2**16), n_threads=st.integers(1, 3), shard_bytes=st.integers(900, 20_000), blocks=st.integers(5, 90))
@settings(max_examples=5)
def test_any_partition_gives_the_same_integers(precision: Any, seed: int, n_threads: int, shard_bytes: int, blocks: int) -> None:
    docs, queries, qrels, own = make_case(seed, n_docs=170, n_queries=7)
    spaces = [
        prefixes(DIMS, Similarity.COSINE),
        prefixes(DIMS[:2], Similarity.COSINE, basis="pca", rotation=random_rotation(48, np.random.default_rng(seed))),
    ]
    whole = rank_grid(spaces, [precision], Vectors((docs,)), queries, qrels, RankOptions(own_rows=own, depth=7))
    options = RankOptions(
        own_rows=own,
        depth=7,
        kernel=MachineKernel(blocks, blocks + 3),
        executor=LocalThreads(n_threads),
        shard_bytes=shard_bytes,
    )
    got = rank_grid(spaces, [precision], Vectors((docs[:17], docs[17:101], docs[101:])), queries, qrels, options)
    np.testing.assert_array_equal(got.above, whole.above)
    np.testing.assert_array_equal(got.tied, whole.tied)
    np.testing.assert_array_equal(got.top.rows, whole.top.rows)
    np.testing.assert_array_equal(got.zero_prefixes, whole.zero_prefixes)


@pytest.mark.parametrize("precision", CODES)
@pytest.mark.parametrize("similarity", list(Similarity))
def test_kernels_agree_on_codes(precision: Any, similarity: Any) -> None:
    docs, queries, qrels, own = make_case(12)
    spaces = [prefixes(DIMS, similarity)]
    one, other = (
        rank_grid(spaces, [precision], Vectors((docs,)), queries, qrels, RankOptions(own_rows=own, kernel=kernel, depth=5))
        for kernel in (MachineKernel(), PortableKernel())
    )
    np.testing.assert_array_equal(one.above, other.above)
    np.testing.assert_array_equal(one.tied, other.tied)
    np.testing.assert_array_equal(one.top.rows, other.top.rows)


def test_a_code_hides_no_zero_prefix() -> None:
    docs, queries, qrels, _ = make_case(4)
    ranks = rank_grid([prefixes(DIMS, Similarity.COSINE)], ALL, Vectors((docs,)), queries, qrels, RankOptions())
    counts = dict(zip(ranks.candidates, ranks.zero_prefixes.tolist(), strict=True))
    assert counts[Configuration("prefix", 3)] >= 11
    assert {counts[Configuration("prefix", 3, precision=name)] for name in ALL} == {counts[Configuration("prefix", 3)]}


def test_a_space_travels_as_a_value() -> None:
    docs, _, _, _ = make_case(5)
    (space,) = coded_spaces([prefixes([8], Similarity.COSINE)], ["rabitq"], Vectors((docs,)))
    copy = pickle.loads(pickle.dumps(space))
    assert [turn.key for turn in copy.document_turns] == [turn.key for turn in space.document_turns]
    np.testing.assert_array_equal(copy.documents(docs), space.documents(docs))


def test_codes_of_different_training_have_different_keys() -> None:
    docs, _, _, _ = make_case(5)
    one, other = (next(coded_spaces([prefixes([8], Similarity.COSINE)], ["int8"], Vectors((part,)))) for part in (docs, docs[:9]))
    assert one.document_turns[-1].key != other.document_turns[-1].key


def test_training_rows_are_all_or_the_same_sample() -> None:
    assert training_rows(5).tolist() == [0, 1, 2, 3, 4]
    rows = training_rows(10 * TRAINING_ROWS)
    assert len(np.unique(rows)) == TRAINING_ROWS
    np.testing.assert_array_equal(rows, training_rows(10 * TRAINING_ROWS))


@pytest.mark.parametrize(
    ("text", "name"),
    [("SQ8", "int8"), ("INT8", "int8"), ("sqfp16", "float16"), ("RaBitQ", "rabitq"), ("sqtqmse2", "SQtqmse2"), ("lsh", "LSH")],
)
def test_a_precision_has_one_name(text: str, name: str) -> None:
    assert parse_precision(text) == name


@pytest.mark.parametrize(("text", "hint"), [("in8", "'int8'"), ("HNSW32", "--index HNSW32"), ("RaBitQ4fs", "--index RaBitQ4fs")])
def test_what_keeps_no_number_is_refused_with_a_way_out(text: str, hint: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_precision(text)
    assert hint in refused.value.hint


def test_bytes_of_the_named_precisions() -> None:
    assert [bytes_per_vector(name, 512) for name in ALL] == [2048, 1024, 512, 256, 72, 64]
    assert [bytes_per_vector(name, 33) for name in ALL] == [132, 66, 33, 17, 13, 5]
