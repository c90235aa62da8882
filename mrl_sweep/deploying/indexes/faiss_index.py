"""FAISS's indexes: make, train, fill, search, weigh and store one; k-means of the queries' topics."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np

from mrl_sweep.deploying.index_spec import COMMON, SPEC_FORMS, IndexSpec, parse_index
from mrl_sweep.errors import InputError
from mrl_sweep.ranking.pass_plan import unit_prefix
from mrl_sweep.record import record
from mrl_sweep.types import SEED, Float32Array, IntArray, Similarity
from mrl_sweep.words import did_you_mean

FAISS_VERSION: Final = str(faiss.__version__)

_UNTYPED: Final[Any] = faiss
"""For what its type stubs leave out."""

SMALL_SAMPLE: Final = 2**22
"""Numbers up to which one thread trains: k-means is then thousands of short steps, between which several wait for each other.
On two busy cores PQ8 of 314 vectors took .6 s of processor time with two threads, .02 s with one; of 10,000, 14 s and 1.5 s."""

_FEWEST_PER_CENTROID: Final = 39
_MOST_PER_CENTROID: Final = 256
_ENOUGH_FOR_STATISTICS: Final = 65_536


@contextlib.contextmanager
def limited_threads(n_threads: int | None) -> Iterator[int]:
    """Sets FAISS's own threads for the block (None leaves them); yields the number in force and restores what was before."""
    before = int(faiss.omp_get_max_threads())
    if n_threads is not None:
        faiss.omp_set_num_threads(n_threads)
    try:
        yield int(faiss.omp_get_max_threads())
    finally:
        faiss.omp_set_num_threads(before)


@record
class FaissIndex:
    """One FAISS index, and what its scores mean: `sign` -1 turns its distances into scores (higher is better)."""

    spec: IndexSpec
    handle: Any
    sign: int

    @property
    def is_trained(self) -> bool:
        return bool(self.handle.is_trained)

    def __len__(self) -> int:
        return int(self.handle.ntotal)

    def train(self, sample: Float32Array) -> None:
        """Trains the index on the sample; a small one is left to one thread. Raises InputError with FAISS's reason.

        FAISS's PQ would then anneal the numbers of its centroids: that takes seconds whatever the number of vectors, and no
        distance changes. Only a search that asks for the polysemous filter reads their order.
        """
        if not any(name.startswith("polysemous") for name, _ in self.spec.parameters):
            for part in _parts(self.handle):
                if hasattr(part, "do_polysemous_training"):
                    part.do_polysemous_training = False
        with limited_threads(1 if sample.size <= SMALL_SAMPLE else None):
            self._attempt("train", self.handle.train, sample)

    def add(self, rows: Float32Array) -> None:
        """Adds rows under their running numbers, which an index with ids (`IDMap`) is given. Raises InputError."""
        before = len(self)
        try:
            self.handle.add(rows)
        except RuntimeError as error:
            if len(self) != before or "IDMap" not in self.spec.factory:
                raise InputError(f"FAISS cannot fill {self.spec.factory}: {_reason(error)}", SPEC_FORMS) from error
            self._attempt("fill", self.handle.add_with_ids, rows, np.arange(before, before + len(rows), dtype=np.int64))

    def search(self, queries: Float32Array, k: int) -> tuple[IntArray, Float32Array]:
        """Returns (rows, scores), both (n_queries, k), best first; row -1 and score -inf where there are fewer."""
        k = min(k, len(self))
        distances, rows = self.handle.search(queries, k)
        scores = np.where(rows < 0, np.float32(-np.inf), self.sign * distances).astype(np.float32, copy=False)
        return rows.astype(np.int64, copy=False), scores

    def leaving_own_out(self) -> FaissIndex:
        """Returns the index to search when each query's own document will be dropped from what it returns."""
        return self

    def set_parameters(self, parameters: tuple[tuple[str, int], ...]) -> None:
        """Sets search parameters by FAISS's names, wherever in a composed index they belong. Raises InputError."""
        for name, value in parameters:
            try:
                faiss.ParameterSpace().set_index_parameter(self.handle, name, value)
            except RuntimeError as error:
                hint = "efSearch goes with HNSW, nprobe with IVF, k_factor_rf with refinement"
                raise InputError(f"index {self.spec.factory} has no search parameter {name}", hint) from error

    def shorten_training(self) -> None:
        """Trains one round wherever training iterates: enough to see whether the index can be built at all."""
        for part in _parts(self.handle):
            for name in ("niter", "niter_pq", "max_iter", "train_iters"):
                if hasattr(part, name):
                    setattr(part, name, 1)

    def size_bytes(self) -> int:
        """Counts what `faiss.serialize_index` would return, while it is written to nowhere: no second copy in memory."""
        total = 0

        def count(block: bytes) -> int:
            nonlocal total
            total += len(block)
            return len(block)

        faiss.write_index(self.handle, _UNTYPED.PyCallbackIOWriter(count))
        return total

    def write(self, path: Path) -> None:
        faiss.write_index(self.handle, str(path))

    def _attempt(self, verb: str, action: Any, *arguments: Float32Array | IntArray) -> None:
        try:
            action(*arguments)
        except RuntimeError as error:
            raise InputError(f"FAISS cannot {verb} {self.spec.factory}: {_reason(error)}", SPEC_FORMS) from error


def make_index(spec: IndexSpec, dim: int, similarity: Similarity) -> FaissIndex:
    """Makes an empty index by inner product, else by L2, which ranks unit vectors alike (cosine only). Raises InputError."""
    try:
        return FaissIndex(spec, faiss.index_factory(dim, spec.factory, faiss.METRIC_INNER_PRODUCT), 1)
    except (RuntimeError, MemoryError) as error:
        first = error
    try:
        by_distance = faiss.index_factory(dim, spec.factory, faiss.METRIC_L2)
    except (RuntimeError, MemoryError):
        near = respelt(spec.factory, dim)
        meant = f"did you mean {near}?" if near else did_you_mean(spec.factory, COMMON)
        hint = f"{meant} {SPEC_FORMS}".lstrip()
        raise InputError(f"FAISS cannot make index {spec.factory!r} at {dim} dimensions: {_reason(first)}", hint) from first
    if similarity is not Similarity.COSINE:
        raise InputError(
            f"index {spec.factory} ranks by distance, not by inner product", "use --similarity cosine, or another --index"
        )
    return FaissIndex(spec, by_distance, -1)


_WORDS: Final = {
    word.lower(): word
    for word in (
        *("Flat", "IVF", "HNSW", "NSG", "PQ", "SQ", "SQfp", "SQbf", "OPQ", "PCA", "PCAR", "PCAW", "PCAWR", "ITQ", "RR", "RQ"),
        *("LSQ", "PRQ", "PLSQ", "LSH", "LSHr", "LSHt", "LSHrt", "RaBitQ", "RFlat", "Refine", "IDMap", "IMI", "ZnLattice"),
        *("Residual", "Pad", "norm", "fs", "fsr", "np", "x", "L"),
    )
}
"""The words of FAISS's factory strings, which it knows in these letters only."""


_FILLED_AT_ONCE: Final = re.compile(r"(?:^|,)NSG")
"""Indexes that FAISS makes and then refuses to fill bit by bit, as a corpus arrives."""


def respelt(factory: str, dim: int) -> str:
    """Spells the string as FAISS reads it, in its own letters and with codes for its lists; "" where none can be filled."""
    words = re.sub(r"[A-Za-z]+", lambda word: _WORDS.get(word[0].lower(), word[0]), re.sub(r"\s*[,;]\s*", ",", factory))
    tight = words.replace(" ", "").strip(",")
    if _FILLED_AT_ONCE.search(tight):
        return ""
    return next((one for one in (tight, f"{tight},Flat") if one != factory and _is_read(one, dim)), "")


def _is_read(factory: str, dim: int) -> bool:
    try:
        faiss.index_factory(dim, parse_index(factory).factory, faiss.METRIC_L2)
    except (InputError, RuntimeError, MemoryError):
        return False
    return True


def tunable_parameters(index: FaissIndex) -> tuple[str, ...]:
    """Names the search parameters worth sweeping that this index has: `nprobe`, `efSearch`, `k_factor_rf`."""
    space: Any = faiss.ParameterSpace()
    space.initialize(index.handle)
    names = {space.parameter_ranges.at(i).name for i in range(space.parameter_ranges.size())}
    return tuple(name for name in ("nprobe", "efSearch", "k_factor_rf") if name in names)


def list_count(index: FaissIndex) -> int:
    """Returns how many inverted lists the index has, 0 where it has none."""
    try:
        return int(faiss.extract_index_ivf(index.handle).nlist)
    except RuntimeError:
        return 0


@record
class TwoStage(FaissIndex):
    """A funnel as FAISS runs it: `shortlist` documents of the prefix, reranked by the whole vector."""

    shortlist: int

    def search(self, queries: Float32Array, k: int) -> tuple[IntArray, Float32Array]:
        """Searches as `FaissIndex` does, in the shortlist alone. FAISS multiplies k by a float and cuts: hence the half."""
        k = max(1, min(k, self.shortlist, len(self)))
        self.handle.k_factor = (min(self.shortlist, len(self)) + 0.5) / k
        return FaissIndex.search(self, queries, k)

    def leaving_own_out(self) -> FaissIndex:
        """Returns the index with a shortlist longer by the place that a query's own document takes."""
        return replace(self, shortlist=self.shortlist + 1)


def make_two_stage(name: str, small: int, shortlist: int, large: int, similarity: Similarity) -> TwoStage:
    """Makes an empty two-stage index over rows of `large` columns: it cuts (and for cosine renormalises) the prefix by itself."""
    first = faiss.IndexPreTransform(faiss.IndexFlatIP(small))
    if similarity is Similarity.COSINE:
        first.prepend_transform(faiss.NormalizationTransform(small, 2.0))
    first.prepend_transform(_UNTYPED.RemapDimensionsTransform(large, small, False))
    return TwoStage(IndexSpec(name), faiss.IndexRefine(first, faiss.IndexFlatIP(large)), 1, shortlist)


def read_index(path: Path, spec: IndexSpec, *, sign: int) -> FaissIndex:
    """Reads an index that `FaissIndex.write` wrote. Raises RuntimeError where the file holds none."""
    return FaissIndex(spec, faiss.read_index(str(path)), sign)


@record
class TrainingNeed:
    """Training vectors that an index needs (`least`), should have (39 a centroid), and can make use of (256)."""

    least: int
    advised: int
    most: int


def training_need(index: FaissIndex) -> TrainingNeed:
    """Adds up what the parts of the index learn, centroids and axes; 1 for those that learn only ranges or means."""
    clusters, axes = max(_clusters(index.handle), default=1), max(_axes(index.handle), default=1)
    advised = _FEWEST_PER_CENTROID * clusters if clusters > 1 else axes
    return TrainingNeed(max(clusters, axes), max(advised, axes), max(_MOST_PER_CENTROID * clusters, _ENOUGH_FOR_STATISTICS))


def _clusters(handle: Any) -> Iterator[int]:
    """Yields the numbers of centroids learnt in this index and in those it is made of."""
    index = faiss.downcast_index(handle)
    if isinstance(index, faiss.IndexIVF):
        yield int(index.nlist)
    if any(isinstance(transform, faiss.OPQMatrix) for transform in _transforms(index)):
        yield 256
    for part in ("index", "base_index", "refine_index", "storage"):
        inner = getattr(index, part, None)
        if inner is not None:
            yield from _clusters(inner)
    for name in ("pq", "rq", "lsq"):
        quantizer = getattr(index, name, None)
        if quantizer is not None:
            yield 2 ** int(quantizer.nbits if name == "pq" else quantizer.nbits.at(0))


def _parts(handle: Any) -> Iterator[Any]:
    """Yields learning parts: the index, its clusterings, quantisers and transforms, and those of the indexes it is made of."""
    index = faiss.downcast_index(handle)
    yield index
    yield from _transforms(index)
    for name in ("cp", "pq", "rq", "lsq"):
        part = getattr(index, name, None)
        if part is not None:
            yield part
            yield from (inner for inner in [getattr(part, "cp", None)] if inner is not None)
    for name in ("index", "base_index", "refine_index", "storage"):
        inner = getattr(index, name, None)
        if inner is not None:
            yield from _parts(inner)


def _axes(handle: Any) -> Iterator[int]:
    """Yields the numbers of axes that rotations in front of the index fit: PCA gives no more than there are vectors."""
    for transform in _transforms(faiss.downcast_index(handle)):
        if isinstance(transform, faiss.PCAMatrix):
            yield int(transform.d_out)


def _transforms(index: Any) -> list[Any]:
    if not isinstance(index, faiss.IndexPreTransform):
        return []
    chain: Any = index.chain
    return [faiss.downcast_VectorTransform(chain.at(i)) for i in range(chain.size())]


def _reason(error: BaseException) -> str:
    """Returns FAISS's message without its source location."""
    text = str(error) or type(error).__name__
    text = re.sub(r"^Error in .*? at \S+:\d+: ", "", text, flags=re.DOTALL)
    return " ".join(text.split())


QUERIES_PER_TOPIC: Final = 50
MOST_TOPICS: Final = 12
WORTH_THREADS: Final = 20_000
"""Queries below which starting threads takes longer than the clustering."""


def topic_labels(queries: Float32Array) -> IntArray:
    """Gives each query vector a topic, (n_queries,) from 0 on; all -1 where the queries are too few for two topics."""
    n_topics = min(MOST_TOPICS, len(queries) // QUERIES_PER_TOPIC)
    if n_topics < 2:
        return np.full(len(queries), -1, np.int64)
    rows = unit_prefix(queries, queries.shape[1])
    means = faiss.Kmeans(rows.shape[1], n_topics, niter=25, spherical=True, seed=SEED, min_points_per_centroid=1)
    with limited_threads(1 if len(rows) < WORTH_THREADS else None):
        means.train(rows)
        labels: IntArray = means.index.search(rows, 1)[1][:, 0].astype(np.int64)
    return labels
