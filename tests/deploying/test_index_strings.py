"""Whatever string the factory builds: its bytes are those of the serialised index, or they are said to be measured only."""

from __future__ import annotations

import math
import re
from typing import Any

import faiss
import numpy as np
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mrl_sweep.deploying.index_spec import IndexSpec, code_of, index_bytes
from mrl_sweep.deploying.indexes.building import captured_warnings
from mrl_sweep.deploying.indexes.faiss_index import FaissIndex, limited_threads
from mrl_sweep.errors import InputError

FRONT = ["PCA8", "PCAR8", "PCAW8", "PCAWR8", "OPQ4", "OPQ4_8", "RR8", "RR16", "ITQ8", "Pad32", "L2norm", "IDMap"]
CODES = ["Flat", "SQ8", "SQ6", "SQ4", "SQfp16", "SQbf16", "SQ8_direct", "SQ8_direct_signed", "LSH", "LSHr", "LSHt", "LSHrt"]
CODES += [
    "RaBitQ",
    *(f"RaBitQ{bits}" for bits in range(1, 10)),
    "RaBitQfs",
    "RaBitQfs_64",
    "RaBitQfs_128",
    "RaBitQ2fs",
    "RaBitQfs4",
]
CODES += [*(f"SQtqmse{bits}" for bits in range(1, 9)), *(f"SQtq{bits}" for bits in range(1, 7))]
CODES += ["PQ4x4", "PQ3x4", "PQ8x3", "PQ2x5", "PQ4x4np", "PQ8x4fs", "PQ3x4fs", "PQ8x4fsr", "PQ8x4fs_64", "PQ4x6fs", "PQ4+4"]
CODES += ["RQ2x4", "RQ2x4_Nqint8", "RQ4x4fs", "PRQ2x2x4", "ZnLattice2x4_6", "FlatDedup", "FlatPanorama4", "Residual4x4"]
COARSE = ["IVF4", "IVF8", "IVF4_HNSW8", "IVF4_HNSW", "IVF4(HNSW8)", "IVF4(SQ8)", "IMI2x2"]
GRAPHS = ["HNSW", "HNSW8", "HNSW16", "NSG8"]
BEHIND = ["RFlat", "Refine(SQ8)", "Refine(Flat)", "Refine(PQ4x4)", "Refine(RaBitQ)", "Refine(PQ4x4fs)", "Refine(HNSW8)", "IDMap"]

codes = st.sampled_from(CODES)
cores = st.one_of(
    codes,
    st.builds("{},{}".format, st.sampled_from(COARSE), codes),
    st.builds("{}{}{}".format, st.sampled_from(GRAPHS), st.sampled_from(["", ",", "_"]), codes),
    st.builds("{}_{},{}".format, st.sampled_from(GRAPHS), codes, codes),
    st.sampled_from(GRAPHS),
)
strings = st.builds(
    lambda front, core, behind: ",".join([*front, core, *behind]),
    st.lists(st.sampled_from(FRONT), max_size=2),
    cores,
    st.lists(st.sampled_from(BEHIND), max_size=1),
)


def known(text: str, dim: int, n: int) -> int | None:
    """What the formula says; None also for what is refused as no index."""
    try:
        return index_bytes(text, dim, n)
    except InputError:
        return None


def built(text: str, dim: int, n: int) -> Any:
    """The index, filled; None where FAISS does not make, train or fill it."""
    rows = np.random.default_rng(0).standard_normal((n, dim), np.float32)
    for metric in (faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L2):
        try:
            index = FaissIndex(IndexSpec(text), faiss.index_factory(dim, text, metric), 1)
            with captured_warnings(), limited_threads(1):
                index.shorten_training()
                index.train(rows)
                index.add(rows)
            return index if len(index) == n else None
        except Exception:
            continue
    return None


def allowance(text: str, dim: int, n: int) -> float:
    """What chance decides, in bytes: the upper links of a graph, and the padding of the lists of a fast-scan index."""
    links = [int(match or 32) for match in re.findall(r"HNSW(\d*)", text)]
    chance = sum(4 * m * 6 * math.sqrt(n / m) + 100 for m in links)
    lists = re.search(r"IV?F?M?I?(\d)\S*,(\w*fs\w*)", text)
    if lists and lists[1]:
        code = code_of(lists[2], dim)
        chance += 0 if code is None else 8 * code.block * code.per_vector
    return chance


@settings(max_examples=120, deadline=None)
@given(strings, st.sampled_from([12, 24, 33]), st.sampled_from([300, 333, 700]))
@example("PCA8,RaBitQ,RFlat", 24, 300)
@example("RR16,IVF4_HNSW,PQ4x4fs,Refine(SQ8)", 24, 300)
@example("HNSW8_PQ4x4,Refine(HNSW8)", 24, 300)
@example("IVF8,RaBitQfs_128", 24, 300)
@example("PCA8,PCA8,Flat", 24, 300)
def test_the_bytes_of_any_string_are_those_of_the_serialised_index_or_are_not_known(text: str, dim: int, n: int) -> None:
    expected = known(text, dim, n)
    assume(expected is not None)
    assert expected is not None
    index = built(text, dim, n)
    assume(index is not None)
    assert abs(expected - index.size_bytes()) <= allowance(text, dim, n), (text, dim, n, expected, index.size_bytes())
