"""The pass on a GPU: tensor cores filter in one fused kernel (`device_kernel`), a float64 judge decides whatever is close.

Whatever lies within the filter's error of a threshold is judged by a float64 inner product rounded to float32, as in the other
kernels: so the integers are theirs. torch and Triton are imported when a kernel is made, never before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from threading import Lock
from typing import Any, Final, NamedTuple

import numpy as np

from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.ranking.device_plan import Tile, band_of, columns_of, steps_of, tile_for
from mrl_sweep.ranking.pass_plan import HALF, LARGEST_NORM2, LEAST_NORM, Tally, Targets
from mrl_sweep.ranking.prefix import ZERO_SQUARED_NORM
from mrl_sweep.types import Float32Array, FloatArray, IntArray

BLOCK_DOCS: Final = 131_072
SMALLEST_BLOCK: Final = 64
FIRST_BLOCK: Final = 16_384
"""Of a tally whose lists of the best are empty: a bar taken from a sample lets much in, so little is shown to it."""

SAMPLED_DOCS: Final = 4096
LISTED: Final = 2**25
"""Entries of the list for the judge, eight bytes each."""

SHARE_OF_MEMORY: Final = 4
"""A block, and the list, take at most this part of what is free."""

JUDGED_AT_ONCE: Final = 2**20
"""Some 150 MB with what sorting them takes."""

MANY_JUDGED: Final = 0.02
"""Judged documents a query and document, from which tf32x3 is cheaper: one judged costs about 3 ns, the two further products of
a query and a document about 0.06 ns, by the figures of one H100."""

NEAR: Final = 1
TOP: Final = 2

Tensor = Any
"""torch.Tensor, which is not imported here."""


class _Targets(NamedTuple):
    """`Targets` on the device. `scaled` (n_sizes, n_pairs) float32 are the thresholds in the filter's scale."""

    queries: Tensor
    edges: list[int]
    steps: Tensor
    columns: int
    norms: Tensor
    scales: Tensor
    begin: Tensor
    end: Tensor
    thresholds: Tensor
    scaled: Tensor
    lowest: Tensor
    rows: Tensor
    bands: Tensor
    own_rows: Tensor
    most_pairs: int
    cosine: int


class _Block(NamedTuple):
    """Documents from corpus row `first_row`; `inverse` (n_sizes, n_docs) float32, `largest` (n_sizes,) norms."""

    docs: Tensor
    first_row: int
    inverse: Tensor
    largest: Tensor

    def halves(self) -> Iterator[_Block]:
        """Both halves; the norms of the whole bound theirs."""
        middle = len(self.docs) // 2
        for part, row in ((slice(None, middle), 0), (slice(middle, None), middle)):
            yield _Block(self.docs[part], self.first_row + row, self.inverse[:, part].contiguous(), self.largest)


class DeviceKernel:
    """`Kernel` on a CUDA device by torch and Triton. ImportError or RuntimeError where any of them cannot be had.

    `block_docs` and `listed` bound the memory from above; less is taken where less is free. On `cpu` it runs in Triton's
    interpreter, which is for tests. Calls from several threads take turns: the device has one.
    """

    name = "triton"

    def __init__(
        self,
        device: str = "cuda",
        *,
        block_docs: int = BLOCK_DOCS,
        listed: int = LISTED,
        tile: Tile | None = None,
        precision: str | None = None,
    ) -> None:
        """`precision`: tf32 or tf32x3; by default the first, until it lets too many documents through to the judge."""
        import torch
        import triton

        from mrl_sweep.ranking import device_kernel

        self.torch, self.triton, self.kernels = torch, triton, device_kernel
        self.device = torch.device(device)
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise RuntimeError("torch sees no GPU")
        if self.device.type == "cpu" and not triton.knobs.runtime.interpret:
            raise RuntimeError("Triton runs on a processor with TRITON_INTERPRET=1 only")
        self.block_docs, self.listed = block_docs, listed
        self.tile = tile or self._tile()
        self.may_change, self.precision = precision is None, precision or "tf32"
        self._lock = Lock()
        self._prepared: tuple[Targets, _Targets] | None = None

    def pair_scores(self, queries: Float32Array, docs: Float32Array, targets: Targets, query_rows: IntArray) -> Float32Array:
        n_sizes, n_pairs = len(targets.edges) - 1, len(query_rows)
        keys = np.arange(n_sizes)[:, None] * len(queries) + query_rows
        of_docs = np.broadcast_to(np.arange(n_pairs), keys.shape)
        with self._lock, self._current(), self.torch.inference_mode():
            put, int32 = self._put, self.torch.int32
            judged = self._judge(
                put(queries),
                put(docs),
                put(targets.norms),
                put(targets.edges[1:]).to(int32),
                put(keys.ravel()).to(int32),
                put(of_docs.ravel()).to(int32),
                cosine=int(targets.cosine),
            )
            scores: Float32Array = judged.cpu().numpy().reshape(keys.shape)
            return scores

    def tally(self, targets: Targets, tally: Tally, docs: Float32Array, first_row: int) -> int:
        with self._lock:
            while True:
                try:
                    return self._tally(targets, tally, docs, first_row)
                except self.torch.OutOfMemoryError as error:  # nothing is in the tally yet
                    if self.block_docs <= SMALLEST_BLOCK:
                        raise EnvironmentFault("the GPU has too little free memory to rank on it", "--device cpu") from error
                    self.block_docs //= 4
                    self.listed //= 4
                    self.torch.cuda.empty_cache()

    def _tally(self, targets: Targets, tally: Tally, docs: Float32Array, first_row: int) -> int:
        with self._current(), self.torch.inference_mode():
            t = self._prepare(targets)
            rows, listed = self._room(t, docs.shape[1])
            counts = _Counts(self, t, tally, max(listed, t.norms.numel()))
            empty = bool((tally.top_rows[..., -1:] < 0)[targets.norms > 0].any())
            start = 0
            while start < len(docs):
                stop = min(start + (min(rows, FIRST_BLOCK) if empty and not start else rows), len(docs))
                block, bad = self._block(t, counts, self._put(docs[start:stop]), first_row + start)
                if bad >= 0:
                    return first_row + start + bad
                self._count(t, counts, block)
                start = stop
            counts.add_to(tally)
        return -1

    def _room(self, t: _Targets, dim: int) -> tuple[int, int]:
        """How many documents a block has, and how many entries the list, by what is free on the device."""
        if self.device.type != "cuda":
            return self.block_docs, self.listed
        torch, device = self.torch, self.device
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        room = (torch.cuda.mem_get_info(device)[0] + idle) // SHARE_OF_MEMORY
        n_sizes = len(t.edges) - 1
        rows = room // (4 * dim + 32 * n_sizes)  # vectors, norms and what is derived from them
        return max(SMALLEST_BLOCK, min(self.block_docs, rows)), max(1, min(self.listed, room // 8))

    def _prepare(self, targets: Targets) -> _Targets:
        """The targets on the device, put there once a pass."""
        if self._prepared is None or self._prepared[0] is not targets:
            begin, end = targets.offsets[:-1], targets.offsets[1:]
            n_own = np.diff(targets.offsets)
            query_of = np.repeat(np.arange(len(targets.queries)), n_own)
            scaled = (targets.thresholds * targets.scales[:, query_of]).astype(np.float32)
            lowest = np.full(targets.norms.shape, np.inf, np.float32)
            lowest[:, n_own > 0] = scaled[:, begin[n_own > 0]]
            edges = [int(edge) for edge in targets.edges]
            put = self._put
            columns = columns_of(edges, self.tile.columns)
            self._prepared = (
                targets,
                _Targets(
                    queries=put(targets.queries),
                    edges=edges,
                    steps=put(np.array(steps_of(edges, columns), np.int32)),
                    columns=columns,
                    norms=put(targets.norms),
                    scales=put(targets.scales),
                    begin=put(begin),
                    end=put(end),
                    thresholds=put(targets.thresholds),
                    scaled=put(scaled),
                    lowest=put(lowest),
                    rows=put(targets.rows),
                    bands=put(targets.bands),
                    own_rows=put(targets.own_rows),
                    most_pairs=int(n_own.max(initial=0)),
                    cosine=int(targets.cosine),
                ),
            )
        return self._prepared[1]

    def _current(self) -> AbstractContextManager[object]:
        """Makes the device the one that Triton launches on."""
        return self.torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext()

    def _tile(self) -> Tile:
        if self.device.type != "cuda":
            return Tile()
        found = self.torch.cuda.get_device_properties(self.device)
        return tile_for(getattr(found, "shared_memory_per_block_optin", found.shared_memory_per_block))

    def _put(self, array: FloatArray | Float32Array | np.ndarray[Any, np.dtype[np.int32]] | IntArray) -> Tensor:
        return self.torch.tensor(np.ascontiguousarray(array), device=self.device)

    def _block(self, t: _Targets, counts: _Counts, docs: Tensor, first_row: int) -> tuple[_Block, int]:
        """The documents with their norms, and the first that is not finite, or -1; counts the zero prefixes."""
        torch, n = self.torch, len(docs)
        norm2 = torch.empty((len(t.edges) - 1, n), dtype=torch.float64, device=self.device)
        rows = 64
        grid = (self.triton.cdiv(n, rows),)
        self.kernels.prefix_norms2[grid](docs, t.steps, norm2, n, len(t.steps), docs.stride(0), ROWS=rows, COLUMNS=t.columns)
        bad = torch.nonzero(~(norm2[-1] < LARGEST_NORM2))
        zero = norm2 < ZERO_SQUARED_NORM
        counts.zeros += zero.sum(1)
        inverse = torch.where(zero, 0.0, norm2.rsqrt()) if t.cosine else torch.ones_like(norm2)
        largest = torch.ones_like(t.bands) if t.cosine else norm2.amax(1).sqrt().clamp(min=LEAST_NORM)
        return _Block(docs, first_row, inverse.float(), largest), int(bad[0, 0]) if len(bad) else -1

    def _count(self, t: _Targets, counts: _Counts, b: _Block) -> None:
        """Count a block; where the list for the judge overflows, take the count back and do its halves instead."""
        limits = self._limits(t, counts, b)
        n_listed = self._launch(t, counts, b, limits, sign=1)
        if n_listed > len(counts.keys):  # not by one document alone: the list has room for its every size and query
            self._launch(t, counts, b, limits, sign=-1)
            for half in b.halves():
                self._count(t, counts, half)
            return
        for start in range(0, n_listed, JUDGED_AT_ONCE):
            part = slice(start, min(start + JUDGED_AT_ONCE, n_listed))
            self._settle(t, counts, b, counts.keys[part], counts.docs[part])
        if self.may_change and t.cosine != HALF and n_listed > MANY_JUDGED * len(t.queries) * len(b.docs):
            self.precision = "tf32x3"

    def _limits(self, t: _Targets, counts: _Counts, b: _Block) -> tuple[Tensor, Tensor, Tensor]:
        """LIMIT, BAR and BAND of `device_kernel.count_tiles` for a block."""
        torch = self.torch
        extra = torch.tensor([band_of(self.precision, dim) for dim in t.edges[1:]], dtype=torch.float64, device=self.device)
        unit = (t.bands + extra) * b.largest
        band = (t.norms * unit[:, None]).float()
        bar = torch.full_like(band, torch.inf)
        if counts.depth:
            worst = counts.top_scores[:, :, -1]
            bar = (worst.double() * t.scales).float() - band
            empty = (worst == -torch.inf) & (t.norms > 0)
            if len(b.docs) > counts.depth and bool(empty.any()):  # an empty list would let the whole block in
                bar = torch.where(empty, self._sampled_bar(t, b, counts.depth) - 2 * band, bar)
            bar = torch.nextafter(bar, torch.full_like(bar, -torch.inf))  # a tie may be among the best by its row
        limit = torch.minimum(t.lowest - band, bar)
        silent = t.norms == 0
        return torch.where(silent, torch.inf, limit), torch.where(silent, torch.inf, bar), band

    def _sampled_bar(self, t: _Targets, b: _Block, depth: int) -> Tensor:
        """(n_sizes, n_queries) a score that `depth` documents of the block reach beside the query's own."""
        torch = self.torch
        sample = b.docs[:SAMPLED_DOCS].double()
        scores, reached = torch.zeros((len(t.queries), len(sample)), dtype=torch.float64, device=self.device), []
        for size, (first, last) in enumerate(pairwise(t.edges)):
            scores.addmm_(t.queries[:, first:last].double(), sample[:, first:last].T)
            scaled = (scores * b.inverse[size, : len(sample)]).float()
            reached.append(scaled.topk(depth + 1, dim=1).values[:, -1] if len(sample) > depth else scaled[:, 0] - torch.inf)
        return torch.stack(reached)

    def _launch(self, t: _Targets, counts: _Counts, b: _Block, limits: tuple[Tensor, Tensor, Tensor], *, sign: int) -> int:
        """Count the block's sure documents and list the others; returns how many there are, listed or not."""
        torch, tile, (limit, bar, band) = self.torch, self.tile, limits
        counts.n_listed.zero_()
        own = (t.own_rows - b.first_row).clamp(-1, len(b.docs)).to(torch.int32)
        grid = (self.triton.cdiv(len(t.queries), tile.queries), self.triton.cdiv(len(b.docs), tile.docs))
        self.kernels.count_tiles[grid](
            *(t.queries, b.docs, t.steps, b.inverse, limit, bar, band, t.scaled, t.begin, t.end, own),
            *(counts.placed, counts.keys, counts.docs, counts.n_listed),
            *(len(t.queries), len(b.docs), t.scaled.shape[1], len(t.steps), t.most_pairs.bit_length(), len(counts.keys), sign),
            *(t.queries.stride(0), b.docs.stride(0)),
            TILE_QUERIES=tile.queries,
            TILE_DOCS=tile.docs,
            COLUMNS=t.columns,
            PRECISION=self.precision,
            num_warps=8,
            num_stages=tile.stages,
        )
        return int(counts.n_listed)

    def _settle(self, t: _Targets, counts: _Counts, b: _Block, keys: Tensor, listed: Tensor) -> None:
        """Judge what is listed; place what was near a threshold, and merge what may be among the best."""
        docs, kind = listed // 4, listed % 4
        judged = self._judge(t.queries, b.docs, t.norms, counts.dims, keys, docs, cosine=t.cosine)
        keys, rows = keys.long(), b.first_row + docs.long()
        near, top = (kind & NEAR) > 0, (kind & TOP) > 0
        self._place(t, counts, keys[near], rows[near], judged[near])
        if counts.depth and bool(top.any()):
            self._keep_top(counts, keys[top], rows[top], judged[top])

    def _place(self, t: _Targets, counts: _Counts, keys: Tensor, rows: Tensor, scores: Tensor) -> None:
        """Place judged documents at the highest threshold that they exceed, and count their ties."""
        torch, n_queries, n_pairs = self.torch, len(t.queries), t.thresholds.shape[1]
        size, query = keys // n_queries, keys % n_queries
        thresholds = t.thresholds.view(-1)
        begin, end = size * n_pairs + t.begin[query], size * n_pairs + t.end[query]
        first = _bisect(torch, thresholds, scores, begin, end, t.most_pairs, ties=False)
        last = _bisect(torch, thresholds, scores, begin, end, t.most_pairs, ties=True)
        beyond = first[first > begin] - 1
        counts.placed.view(-1).index_add_(0, beyond, torch.ones_like(beyond, dtype=torch.int32))
        reach = last - first
        which = torch.repeat_interleave(torch.arange(len(keys), device=self.device), reach)
        pair = first[which] + torch.arange(len(which), device=self.device) - (reach.cumsum(0) - reach)[which]
        pair = pair[t.rows.view(-1)[pair] != rows[which]]
        counts.tied.view(-1).index_add_(0, pair, torch.ones_like(pair, dtype=torch.int32))

    def _keep_top(self, counts: _Counts, keys: Tensor, rows: Tensor, judged: Tensor) -> None:
        """Merge judged documents with the best so far of their size and query: by score, ties by row."""
        torch, depth = self.torch, counts.depth
        best_scores, best_rows = counts.top_scores.view(-1, depth), counts.top_rows.view(-1, depth)
        touched, group = torch.unique(keys, return_inverse=True)
        scores = torch.cat([best_scores[touched].flatten(), judged])
        rows = torch.cat([best_rows[touched].flatten(), rows])
        groups = torch.cat([torch.arange(len(touched), device=self.device).repeat_interleave(depth), group])
        order = torch.where(rows < 0, torch.iinfo(torch.int64).max, rows).argsort()
        order = order[scores[order].argsort(descending=True, stable=True)]
        order = order[groups[order].argsort(stable=True)]
        sizes = torch.bincount(groups, minlength=len(touched))
        chosen = order[(sizes.cumsum(0) - sizes)[:, None] + torch.arange(depth, device=self.device)]
        best_scores[touched], best_rows[touched] = scores[chosen], rows[chosen]

    def _judge(
        self, queries: Tensor, docs: Tensor, norms: Tensor, dims: Tensor, keys: Tensor, rows: Tensor, *, cosine: int
    ) -> Tensor:
        """(n,) float32 scores of docs[rows[i]] at the size and for the query of keys[i], rounded from float64."""
        n, together = len(keys), self.tile.judged
        scores = self.torch.empty(n, dtype=self.torch.float32, device=self.device)
        if n:
            self.kernels.judge[(self.triton.cdiv(n, together),)](
                *(queries, docs, norms, dims, keys, rows, scores, n, len(queries), queries.stride(0), docs.stride(0)),
                ZERO_SQUARED_NORM,
                SCORING=cosine,
                ROWS=together,
                COLUMNS=128,
            )
        return scores


class _Counts:
    """A tally on the device: counts start at zero and are added at the end, the best documents go on from the tally's.

    `keys` and `docs` are the list for the judge, see `device_kernel.count_tiles`.
    """

    def __init__(self, kernel: DeviceKernel, t: _Targets, tally: Tally, listed: int) -> None:
        torch, device = kernel.torch, kernel.device
        self.depth = tally.top_rows.shape[2]
        self.placed = torch.zeros(tally.placed.shape, dtype=torch.int32, device=device)
        self.tied = torch.zeros_like(self.placed)
        self.zeros = torch.zeros(len(tally.zeros), dtype=torch.int64, device=device)
        self.top_scores = torch.tensor(tally.top_scores, device=device)
        self.top_rows = torch.tensor(tally.top_rows, device=device)
        self.dims = torch.tensor(t.edges[1:], dtype=torch.int32, device=device)
        self.keys = torch.empty(listed, dtype=torch.int32, device=device)
        self.docs = torch.empty_like(self.keys)
        self.n_listed = torch.zeros(1, dtype=torch.int32, device=device)

    def add_to(self, tally: Tally) -> None:
        """Add what was counted, and put the best documents in the place of those before."""
        tally.placed[...] += self.placed.cpu().numpy()
        tally.tied[...] += self.tied.cpu().numpy()
        tally.zeros[...] += self.zeros.cpu().numpy()
        tally.top_scores[...] = self.top_scores.cpu().numpy()
        tally.top_rows[...] = self.top_rows.cpu().numpy()


def _bisect(torch: Any, thresholds: Tensor, scores: Tensor, begin: Tensor, end: Tensor, longest: int, *, ties: bool) -> Tensor:
    """(n,) the first of begin[i]:end[i] whose threshold is not below scores[i] (with `ties`: is above it), or end[i]."""
    first, last = begin.clone(), end.clone()
    for _ in range(longest.bit_length()):
        undecided = first < last
        middle = ((first + last) // 2).clamp(max=len(thresholds) - 1)
        below = thresholds[middle] <= scores if ties else thresholds[middle] < scores
        first = torch.where(undecided & below, middle + 1, first)
        last = torch.where(undecided & ~below, middle, last)
    return first
