"""One counting pass on a GPU: its memory and its counts on the device, and the launches for a block of documents.

The filter (`device_programs.count_tiles`) counts what it is sure of and lists the rest; listed documents are judged by a float64
inner product rounded to float32, as in the other kernels: so the integers are theirs. torch is passed in, never imported here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, Final

import numpy as np

from mrl_sweep.ranking.device_targets import JUDGED_COLUMNS, Device, DeviceTargets, SplitRows, Tensor
from mrl_sweep.ranking.pass_plan import LEAST_NORM, ZERO_SQUARED_NORM, Tally
from mrl_sweep.ranking.task import Span
from mrl_sweep.record import record

SAMPLED_DOCS: Final = 1024
"""Documents of the first block where lists of the best are empty: what this sample reaches is the first bar."""

FIRST_DOCS: Final = 16_384
"""Documents of the first block where no list is kept or all are full: the device waits for its copy, which is short."""

GROWTH: Final = 2
"""Each of the first blocks makes the documents seen so many times as many: the bars rise before most documents come."""

SIZES_AT_ONCE: Final = 16
"""Sizes whose sample is sorted together."""

LAST_ROW: Final = 2**32 - 2
"""A row beyond this cannot be packed with its score."""

MERGED_AT_ONCE: Final = 2**21
"""Documents that may be among the best: some 200 MB with what sorting them takes."""

ALIGNED: Final = 16
"""Entries of a list are a multiple of this, so that both of its rows are aligned for Triton."""


@record(frozen=False)
class Block:
    """Documents from corpus row `first_row`, the row `start` of `docs` a launch begins at, and its LIMIT, BAR and BAND."""

    docs: Tensor
    first_row: int
    start: int
    limits: tuple[Tensor, Tensor, Tensor]


class DevicePass:
    """A tally on the device: counts start at zero and are added at the end, the best documents go on from the tally's.

    `block_docs` documents at most in a block, `listed` entries in each list for the judge.
    """

    def __init__(self, device: Device, t: DeviceTargets, tally: Tally, block_docs: int, listed: int) -> None:
        self.device, self.t, self.block_docs = device, t, block_docs
        self.depth = tally.top_rows.shape[2]
        self.placed, self.tied = device.zeros(t.n_sizes, t.n_pairs), device.zeros(t.n_sizes, t.n_pairs)
        self.zeros = device.zeros(t.n_sizes)
        self.best = _packed(device.torch, device.put(tally.top_scores), device.put(tally.top_rows))
        self.floor = device.put(tally.floor)
        listed = max(listed, t.n_sizes * t.n_queries, t.n_sizes * t.n_pairs)  # room for one document near everything
        listed = -(-listed // ALIGNED) * ALIGNED
        self.near = device.empty(2, listed)
        self.top = device.empty(2, listed if self.depth else 1)
        self.status = device.zeros(4)
        self.parts = SplitRows(device, t, block_docs)
        self.unit_limits = self._limits_for(1.0)
        full = (tally.top_rows[..., -1:] >= 0).all(axis=-1) | (t.source.norms == 0)
        self.n_seen = max(self.depth + 1, FIRST_DOCS) if not self.depth or full.all() else 0
        """Documents launched so far, or more where no list of the best is empty any more."""

    def spans(self, shards: Iterable[Span]) -> Iterator[tuple[Span, Span | None]]:
        """Yields the shards in blocks, the last of a shard with the shard. The first are small, each as large as all before."""
        n_seen = self.n_seen
        for shard in shards:
            start, end = shard
            while start < end:
                n = min(self.block_docs, max(SAMPLED_DOCS, (GROWTH - 1) * n_seen), end - start)
                n_seen += n
                yield (start, start + n), shard if start + n == end else None
                start += n

    def launch(self, docs: Tensor, first_row: int) -> Block:
        """Begins to count a block; `finish` must follow before the next."""
        t, n = self.t, len(docs)
        self.status.zero_()
        self.status[2] = n
        self.parts.split(self.device, t, docs, self.zeros, self.status)
        block = Block(docs, first_row, 0, self._limits(docs))
        self._count(block, n, sign=1)
        self.n_seen += n
        return block

    def finish(self, block: Block) -> int:
        """Judges the block's listed documents; returns its first corpus row that is not finite or too large, or -1."""
        n_near, n_top, bad, _ = self.status.tolist()
        if bad < len(block.docs):
            return block.first_row + int(bad)
        self._judge(block, len(block.docs), n_near, n_top)
        return -1

    def add_to(self, tally: Tally) -> None:
        """Adds the counts to the tally, and replaces its best documents and raises its floor."""
        tally.placed[...] += self.placed.cpu().numpy()
        tally.tied[...] += self.tied.cpu().numpy()
        tally.zeros[...] += self.zeros.cpu().numpy()
        if self.depth:
            scores, rows = _unpacked(self.device.torch, self.best)
            tally.top_scores[...], tally.top_rows[...] = scores.cpu().numpy(), rows.cpu().numpy()
            np.maximum(tally.floor, tally.top_scores[..., -1], out=tally.floor)

    def _limits(self, docs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns LIMIT, BAR and BAND of `device_programs.count_tiles` for a block."""
        torch, t = self.device.torch, self.t
        if t.scoring:
            limit, band = self.unit_limits
        else:
            largest = self.parts.largest.view(torch.float32).double().clamp(min=LEAST_NORM)
            limit, band = self._limits_for(largest)
        if not self.depth:
            return limit, limit, band
        worst = torch.maximum(_unpacked(torch, self.best[:, :, -1])[0], self.floor)
        bar = (worst.double() * t.scales).float() - band
        if self.n_seen <= self.depth and len(docs) > self.depth:  # an empty list would let the whole block in
            bar = torch.maximum(bar, self._sampled_bar(docs) - 2 * band)
        bar = torch.nextafter(bar, torch.full_like(bar, -torch.inf))  # a tie may be among the best by its row
        bar = torch.where(t.silent, torch.inf, bar)
        return torch.minimum(limit, bar), bar, band

    def _limits_for(self, largest: Tensor | float) -> tuple[Tensor, Tensor]:
        """Returns LIMIT without lists of the best, and BAND, where no norm exceeds `largest` (n_sizes,)."""
        t = self.t
        band = (t.norms * (t.bands * largest)[:, None]).float()
        return self.device.torch.where(t.silent, self.device.torch.inf, t.lowest - band), band

    def _sampled_bar(self, docs: Tensor) -> Tensor:
        """Returns (n_sizes, n_queries) a score that `depth` documents of the block reach, not counting the query's own."""
        torch, t = self.device.torch, self.t
        sample = docs[:SAMPLED_DOCS].double()
        reached = torch.full_like(self.floor, -torch.inf)
        if len(sample) <= self.depth:
            return reached
        scores = self.device.zeros(t.n_queries, len(sample), dtype="float64")
        scaled = self.device.empty(min(t.n_sizes, SIZES_AT_ONCE), *scores.shape, dtype="float32")
        for size, (first, last) in enumerate(pairwise(t.edges)):
            scores.addmm_(t.queries[:, first:last].double(), sample[:, first:last].T)
            torch.mul(scores, self.parts.inverse[size, : len(sample)], out=scaled[size % SIZES_AT_ONCE])
            n = size % SIZES_AT_ONCE + 1
            if n == SIZES_AT_ONCE or size == t.n_sizes - 1:
                reached[size + 1 - n : size + 1] = scaled[:n].topk(self.depth + 1, dim=2).values[:, :, -1]
        return reached

    def _count(self, b: Block, n: int, *, sign: int) -> None:
        """Launches the filter over n documents of the block from its start."""
        torch, t, tile, parts = self.device.torch, self.t, self.t.tile, self.parts
        own = (t.own_rows - b.first_row - b.start).clamp(-1, n).to(torch.int32)
        at = b.start * t.columns
        grid = (self.device.triton.cdiv(t.n_queries, tile.queries) * self.device.triton.cdiv(n, tile.docs),)
        limit, bar, band = b.limits
        self.device.programs.count_tiles[grid](
            *(t.parts.high, t.parts.low, parts.high.view(-1)[at:], parts.low.view(-1)[at:], t.steps),
            *(parts.inverse.view(-1)[b.start :], limit, bar, band, t.scaled, t.begin, t.end, own, self.placed),
            *(self.near[0], self.near[1], self.top[0], self.top[1], self.status),
            *(t.n_queries, n, t.n_pairs, t.n_steps, t.most_pairs.bit_length(), self.near.shape[1], self.top.shape[1], sign),
            *(t.parts.slots, parts.slots),
            TILE_QUERIES=tile.queries,
            TILE_DOCS=tile.docs,
            COLUMNS=t.columns,
            BEST=self.depth > 0,
            MANY=t.most_pairs > self.device.programs.FEW.value,
            num_warps=tile.warps,
            num_stages=tile.stages,
        )

    def _judge(self, b: Block, n: int, n_near: int, n_top: int) -> None:
        """Judges and counts what is listed of n documents; where a list overflowed, takes the count back and does the halves."""
        if n_near > self.near.shape[1] or n_top > self.top.shape[1]:
            self._again(b, n)
            return
        t, device = self.t, self.device
        docs = b.docs[b.start :]
        if n_near:
            device.programs.settle[(device.triton.cdiv(n_near, device.judged),)](
                *(t.queries, docs, t.norms, t.dims, self.near[0], self.near[1], t.thresholds, t.rows, t.query_of),
                *(t.begin, t.end, self.placed, self.tied, b.first_row + b.start, n_near, t.n_queries, t.n_pairs),
                *(t.most_pairs.bit_length(), t.queries.stride(0), docs.stride(0), ZERO_SQUARED_NORM),
                SCORING=t.scoring,
                ROWS=device.judged,
                COLUMNS=JUDGED_COLUMNS,
            )
        for start in range(0, n_top, MERGED_AT_ONCE):
            keys, rows = self.top[:, start : min(start + MERGED_AT_ONCE, n_top)]
            judged = device.judge(t.queries, docs, t.norms, t.dims, keys, rows, t.scoring)
            self._keep_top(keys.long(), _packed(device.torch, judged, b.first_row + b.start + rows.long()))

    def _again(self, b: Block, n: int) -> None:
        """Counts n documents again, in halves. Later blocks are half as large: they are like this one."""
        self._count(b, n, sign=-1)
        self.block_docs = min(self.block_docs, max(self.t.tile.docs, n // 2))
        middle = n // 2 if n <= 2 * self.t.tile.docs else n // 2 // self.t.tile.docs * self.t.tile.docs
        for start, size in ((b.start, middle), (b.start + middle, n - middle)):
            half = Block(b.docs, b.first_row, start, b.limits)
            self.status.zero_()
            self._count(half, size, sign=1)
            n_near, n_top, _, _ = self.status.tolist()
            self._judge(half, size, n_near, n_top)

    def _keep_top(self, keys: Tensor, packed: Tensor) -> None:
        """Merges judged documents, `_packed`, into the best so far of their size and query, without waiting for the device."""
        torch, n_lists, device = self.device.torch, self.t.n_sizes * self.t.n_queries, packed.device
        packed, order = packed.sort(descending=True)
        keys, by_key = keys[order].sort(stable=True)
        begin = torch.searchsorted(keys, torch.arange(n_lists, dtype=keys.dtype, device=device))
        place = torch.arange(len(keys), device=device) - begin[keys]
        slot = torch.where(place < self.depth, keys * self.depth + place, n_lists * self.depth)
        new = torch.full((n_lists * self.depth + 1,), torch.iinfo(torch.int64).min, device=device)
        new[slot] = packed[by_key]
        both = torch.cat([self.best.view(n_lists, -1), new[:-1].view(n_lists, -1)], 1)
        self.best = both.sort(dim=1, descending=True).values[:, : self.depth].reshape(self.best.shape)


def _packed(torch: Any, scores: Tensor, rows: Tensor) -> Tensor:
    """Packs float32 scores and rows (-1 to `LAST_ROW`) as int64 that sort as the lists of the best do: ties by row."""
    bits = (scores + 0.0).view(torch.int32).long()  # + 0 makes -0 the 0 that it equals
    return (torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits) << 32) + (LAST_ROW - rows)


def _unpacked(torch: Any, packed: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the scores and rows of `_packed` numbers."""
    bits = packed >> 32
    scores = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).to(torch.int32).view(torch.float32)
    return scores, LAST_ROW - (packed & 0xFFFFFFFF)
