"""The same pass with torch, for a GPU: filters by float32 matrix products, a float64 judge for whatever is close, on the device.

Whatever lies within the rounding error of a threshold is judged by a float64 inner product rounded to float32, as in the other
kernels: so the integers are theirs. torch is imported when a kernel is made, never before.
"""

from __future__ import annotations

from threading import Lock
from typing import Any, Final, NamedTuple

import numpy as np

from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.ranking.pass_plan import LARGEST_NORM2, Tally, Targets
from mrl_sweep.ranking.prefix import ZERO_SQUARED_NORM
from mrl_sweep.types import Float32Array, FloatArray, IntArray

BLOCK_DOCS: Final = 16_384
BLOCK_QUERIES: Final = 512
"""A block of scores is 32 MiB; what is derived from it is at most thirty times that."""

SMALLEST_BLOCK: Final = 64
JUDGED_AT_ONCE: Final = 65_536
TINY_NORM: Final = 1e-15
"""Keeps the band open for documents of zeros under the dot product, which tie with a threshold of zero."""

Tensor = Any
"""torch.Tensor, which is not imported here."""


class _Targets(NamedTuple):
    """`Targets` on the device. `low`/`high` (n_sizes, n_pairs) float32 are the thresholds in the filter's scale."""

    queries: Tensor
    edges: list[int]
    norms: Tensor
    scales: Tensor
    offsets: Tensor
    thresholds: Tensor
    scaled: Tensor
    rows: Tensor
    bands: list[float]
    own_rows: Tensor
    cosine: bool


class _Block(NamedTuple):
    """Documents from corpus row `first_row`, against the queries q0:q1 at size a; `band` (q1 - q0, 1), the filter's error."""

    docs: Tensor
    first_row: int
    q0: int
    q1: int
    a: int
    scores: Tensor
    band: Tensor


class DeviceKernel:
    """`Kernel` on a torch device. ImportError or RuntimeError where torch or the device cannot be had."""

    name = "torch"

    def __init__(self, device: str = "cuda", block_docs: int = BLOCK_DOCS, block_queries: int = BLOCK_QUERIES) -> None:
        import torch

        self.torch = torch
        self.device = torch.device(device)
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise RuntimeError("torch sees no GPU")
        torch.set_float32_matmul_precision("highest")  # the bands are those of float32, not of TF32
        self.block_docs = block_docs
        self.block_queries = block_queries
        self._lock = Lock()
        self._prepared: tuple[Targets, _Targets] | None = None

    def pair_scores(self, queries: Float32Array, docs: Float32Array, targets: Targets, query_rows: IntArray) -> Float32Array:
        q, d, rows = self._put(queries), self._put(docs), self._put(query_rows)
        norms = self._put(targets.norms)
        sizes = range(len(targets.edges) - 1)
        scores = [self._judge(q[rows], d, int(targets.edges[a + 1]), norms[a, rows], targets.cosine) for a in sizes]
        return np.stack([score.cpu().numpy() for score in scores])

    def tally(self, targets: Targets, tally: Tally, docs: Float32Array, first_row: int) -> int:
        while True:
            try:
                return self._tally(targets, tally, docs, first_row)
            except self.torch.OutOfMemoryError as error:  # nothing is in the tally yet
                if self.block_docs <= SMALLEST_BLOCK:
                    raise EnvironmentFault("the GPU has too little free memory to rank on it", "--device cpu") from error
                self.block_docs //= 4
                self.torch.cuda.empty_cache()

    def _tally(self, targets: Targets, tally: Tally, docs: Float32Array, first_row: int) -> int:
        t = self._prepare(targets)
        with self.torch.inference_mode():
            counts = _Counts(self, tally)
            for start in range(0, len(docs), self.block_docs):
                block = self._put(docs[start : start + self.block_docs])
                inverse, largest, bad = self._norms(t, block, counts.zeros)
                if bad >= 0:
                    return first_row + start + bad
                for q0 in range(0, len(t.queries), self.block_queries):
                    q1 = min(q0 + self.block_queries, len(t.queries))
                    self._one_block(t, counts, block, first_row + start, (q0, q1), inverse, largest)
            counts.add_to(tally, targets.offsets)
        return -1

    def _prepare(self, targets: Targets) -> _Targets:
        """The targets on the device, put there once a pass."""
        with self._lock:
            if self._prepared is None or self._prepared[0] is not targets:
                query_of = np.repeat(np.arange(len(targets.queries)), np.diff(targets.offsets))
                scaled = (targets.thresholds * targets.scales[:, query_of]).astype(np.float32)
                put = self._put
                self._prepared = (
                    targets,
                    _Targets(
                        queries=put(targets.queries),
                        edges=[int(edge) for edge in targets.edges],
                        norms=put(targets.norms),
                        scales=put(targets.scales),
                        offsets=put(targets.offsets),
                        thresholds=put(targets.thresholds),
                        scaled=put(scaled),
                        rows=put(targets.rows),
                        bands=[float(band) for band in targets.bands],
                        own_rows=put(targets.own_rows),
                        cosine=bool(targets.cosine),
                    ),
                )
            return self._prepared[1]

    def _put(self, array: FloatArray | Float32Array | IntArray) -> Tensor:
        return self.torch.tensor(np.ascontiguousarray(array), device=self.device)

    def _norms(self, t: _Targets, docs: Tensor, zeros: Tensor) -> tuple[list[Tensor], list[Tensor], int]:
        """1 / norm and the largest norm at each size, and the first document that is not finite, or -1."""
        torch, inverse, largest = self.torch, [], []
        norm2 = torch.zeros(len(docs), dtype=torch.float64, device=self.device)
        for a, (lo, hi) in enumerate(zip(t.edges[:-1], t.edges[1:], strict=True)):
            norm2 = norm2 + docs[:, lo:hi].double().square().sum(1)
            zero = norm2 < ZERO_SQUARED_NORM
            zeros[a] += zero.sum()
            norm = norm2.sqrt()
            largest.append(norm.max().clamp(min=TINY_NORM).float())
            one = torch.ones_like(norm)
            inverse.append(torch.where(zero, 0.0, one / norm).float() if t.cosine else one.float())
        bad = torch.nonzero(~(norm2 < LARGEST_NORM2))
        return inverse, largest, int(bad[0, 0]) if len(bad) else -1

    def _one_block(
        self,
        t: _Targets,
        counts: _Counts,
        docs: Tensor,
        first_row: int,
        queries: tuple[int, int],
        inverse: list[Tensor],
        largest: list[Tensor],
    ) -> None:
        torch, (q0, q1) = self.torch, queries
        scores = torch.zeros((q1 - q0, len(docs)), dtype=torch.float32, device=self.device)
        own = t.own_rows[q0:q1] - first_row
        mine = torch.nonzero((own >= 0) & (own < len(docs)))[:, 0]
        for a, (lo, hi) in enumerate(zip(t.edges[:-1], t.edges[1:], strict=True)):
            scores.addmm_(t.queries[q0:q1, lo:hi], docs[:, lo:hi].T)
            scaled = scores * inverse[a]
            scaled[mine, own[mine]] = -torch.inf
            norms = t.norms[a, q0:q1]
            scaled[norms == 0] = -torch.inf
            unit_band = t.bands[a] * (torch.ones_like(largest[a]) if t.cosine else largest[a])
            band = (norms * unit_band.double()).float()[:, None]
            block = _Block(docs, first_row, q0, q1, a, scaled, band)
            self._count(t, counts, block)
            if counts.depth:
                self._keep_top(t, counts, block)

    def _count(self, t: _Targets, counts: _Counts, b: _Block) -> None:
        """Place each document that reaches its query's lowest threshold by bisection; judge those that are close to one."""
        torch = self.torch
        begin, end = t.offsets[b.q0 : b.q1], t.offsets[b.q0 + 1 : b.q1 + 1]
        if not t.scaled.shape[1]:
            return
        lowest = t.scaled[b.a, begin.clamp(max=t.scaled.shape[1] - 1)][:, None] - b.band
        lowest[begin == end] = torch.inf
        q, j = torch.nonzero(b.scores > lowest, as_tuple=True)
        if not len(q):
            return
        score, band = b.scores[q, j], b.band[q, 0]
        longest = int((end - begin).max())
        first = _bisect(torch, t.scaled[b.a], score, band, begin[q], end[q], longest)
        last = _bisect(torch, t.scaled[b.a], score, -band, begin[q], end[q], longest)
        beyond = first[first > begin[q]] - 1
        counts.placed[b.a] += torch.bincount(beyond, minlength=counts.placed.shape[1])
        near = torch.nonzero(last > first)[:, 0]
        for some in near.split(JUDGED_AT_ONCE):
            judged = self._judge_block(t, b, q[some], j[some])
            self._settle(t, counts, b, (j[some], first[some], last[some], judged))

    def _settle(self, t: _Targets, counts: _Counts, b: _Block, found: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
        """Compare judged scores with the thresholds that each was too close to, first to last."""
        torch, (j, first, last, judged) = self.torch, found
        reach = last - first
        which = torch.repeat_interleave(torch.arange(len(j), device=self.device), reach)
        within = torch.arange(len(which), device=self.device) - (reach.cumsum(0) - reach)[which]
        pair = first[which] + within
        other = t.rows[b.a, pair] != b.first_row + j[which]
        pair, score = pair[other], judged[which][other]
        threshold = t.thresholds[b.a, pair]
        n_pairs = counts.above.shape[1]
        counts.above[b.a] += torch.bincount(pair[score > threshold], minlength=n_pairs)
        counts.tied[b.a] += torch.bincount(pair[score == threshold], minlength=n_pairs)

    def _keep_top(self, t: _Targets, counts: _Counts, b: _Block) -> None:
        """Judge the documents that may be among the best of their query, and merge them with the best so far."""
        torch, depth = self.torch, counts.depth
        best = counts.top_scores[b.a, b.q0 : b.q1]
        low = (best[:, -1:].double() * t.scales[b.a, b.q0 : b.q1, None]).float() - b.band
        if b.scores.shape[1] > depth and bool((low == -torch.inf).any()):  # an empty list would let the whole block in
            kth = b.scores.topk(depth, dim=1, sorted=True).values[:, -1:]
            low = torch.maximum(low, kth - 2 * b.band)
        q, j = torch.nonzero((b.scores >= low) & (b.scores > -torch.inf), as_tuple=True)
        if not len(q):
            return
        judged = torch.cat([self._judge_block(t, b, *some) for some in _split(q, j)])
        touched, group = torch.unique(q, return_inverse=True)
        held = torch.arange(len(touched), device=self.device).repeat_interleave(depth)
        scores = torch.cat([best[touched].flatten(), judged])
        rows = torch.cat([counts.top_rows[b.a, b.q0 + touched].flatten(), b.first_row + j])
        groups = torch.cat([held, group])
        order = torch.where(rows < 0, torch.iinfo(torch.int64).max, rows).argsort()
        order = order[scores[order].argsort(descending=True, stable=True)]
        order = order[groups[order].argsort(stable=True)]
        sizes = torch.bincount(groups, minlength=len(touched))
        chosen = order[(sizes.cumsum(0) - sizes)[:, None] + torch.arange(depth, device=self.device)]
        counts.top_scores[b.a, b.q0 + touched] = scores[chosen]
        counts.top_rows[b.a, b.q0 + touched] = rows[chosen]

    def _judge_block(self, t: _Targets, b: _Block, q: Tensor, j: Tensor) -> Tensor:
        dim = t.edges[b.a + 1]
        return self._judge(t.queries[b.q0 + q], b.docs[j], dim, t.norms[b.a, b.q0 + q], t.cosine)

    def _judge(self, queries: Tensor, docs: Tensor, dim: int, norms: Tensor, cosine: bool) -> Tensor:
        """(n,) float32 scores of queries[i] and docs[i] at a size, rounded from float64; `norms` the queries' there."""
        rows = docs[:, :dim].double()
        dot = (rows * queries[:, :dim].double()).sum(1)
        if cosine:
            norm2 = rows.square().sum(1)
            usable = (norm2 >= ZERO_SQUARED_NORM) & (norms > 0)
            dot = self.torch.where(usable, dot / (norm2.sqrt() * norms), 0.0)
        return dot.float()


class _Counts:
    """A tally on the device: counts start at zero and are added at the end, the best documents go on from the tally's."""

    def __init__(self, kernel: DeviceKernel, tally: Tally) -> None:
        torch, device = kernel.torch, kernel.device
        n_sizes, n_pairs = tally.placed.shape
        self.depth = tally.top_rows.shape[2]
        self.above = torch.zeros((n_sizes, n_pairs), dtype=torch.int64, device=device)
        self.placed, self.tied = torch.zeros_like(self.above), torch.zeros_like(self.above)
        self.zeros = torch.zeros(n_sizes, dtype=torch.int64, device=device)
        self.top_scores = torch.tensor(tally.top_scores, device=device)
        self.top_rows = torch.tensor(tally.top_rows, device=device)

    def add_to(self, tally: Tally, offsets: IntArray) -> None:
        """Add what was placed, and what was judged pair by pair as the difference to the next pair of the query."""
        above = np.pad(self.above.cpu().numpy(), ((0, 0), (0, 1)))
        following = above[:, 1:].copy()
        following[:, offsets[1:][np.diff(offsets) > 0] - 1] = 0
        tally.placed[...] += self.placed.cpu().numpy() + above[:, :-1] - following
        tally.tied[...] += self.tied.cpu().numpy()
        tally.zeros[...] += self.zeros.cpu().numpy()
        tally.top_scores[...] = self.top_scores.cpu().numpy()
        tally.top_rows[...] = self.top_rows.cpu().numpy()


def _bisect(torch: Any, thresholds: Tensor, score: Tensor, band: Tensor, begin: Tensor, end: Tensor, longest: int) -> Tensor:
    """(n,) the first pair of begin[i]:end[i] with thresholds + band >= score[i], or end[i]; at most `longest` pairs each."""
    first, last = begin.clone(), end.clone()
    for _ in range(longest.bit_length()):
        open_ = first < last
        middle = ((first + last) // 2).clamp(max=len(thresholds) - 1)
        below = thresholds[middle] + band < score
        first = torch.where(open_ & below, middle + 1, first)
        last = torch.where(open_ & ~below, middle, last)
    return first


def _split(q: Tensor, j: Tensor) -> list[tuple[Tensor, Tensor]]:
    return list(zip(q.split(JUDGED_AT_ONCE), j.split(JUDGED_AT_ONCE), strict=True))
