"""The counting kernel of an NVIDIA GPU (`DeviceKernel`), by torch and Triton, which are imported when one is made.

Documents are read into pinned memory by a few threads and copied by the GPU itself, a block while the one before is counted
(`device_pass`). Blocks and lists are sized by the memory that is free on the device.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from typing import Any, Final, NamedTuple

import numpy as np

from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.ranking.device_pass import DevicePass
from mrl_sweep.ranking.device_targets import PART_BYTES, Device, DeviceTargets, Tensor, Tile
from mrl_sweep.ranking.pass_plan import Tally, Targets
from mrl_sweep.ranking.task import Span
from mrl_sweep.types import Float32Array, IntArray

BLOCK_DOCS: Final = 131_072
SMALLEST_BLOCK: Final = 64
PINNED_BYTES: Final = 256 * 2**20
"""Bytes of a block that is copied, at most: pinned memory is lost to all other programs."""

BUFFERS: Final = 3
"""Buffers of documents: one is counted, two are copied, so that the copies never wait for what is launched."""

LISTED: Final = 2**23
"""Entries of each list for the judge, eight bytes each."""

READ_AHEAD: Final = 2
"""Blocks that are read at once into pinned memory."""

SHARE_OF_MEMORY: Final = 4
"""The blocks take at most one part in so many of the free memory, the lists another."""

READERS: Final = 4

PIECE_ROWS: Final = 2048
"""Rows that a reader reads at once."""

LEAST_CAPABILITY: Final = (8, 0)
"""The least compute capability: tensor cores that multiply bfloat16."""

Read = Callable[[int, int], Any]
"""Reads the documents from one row to another: C-contiguous float32, as they are counted."""


class Piece(NamedTuple):
    """Documents on the device from corpus row `first_row`; `shard` is the one that ends with them, `ready` the copy's event."""

    docs: Tensor
    first_row: int
    shard: Span | None
    ready: Any
    buffer: int


class Feed:
    """Reads documents and puts them on the device, `rows` at most at once; a block is copied while another is counted.

    Documents that are on the device already stay there; those in pinned memory are copied from where they lie.
    """

    def __init__(self, kernel: DeviceKernel, read: Read, probe: Any, rows: int) -> None:
        torch, self._device, self._read = kernel.device.torch, kernel.device, read
        self._resident = torch.is_tensor(probe)
        self._direct = self._resident or kernel.device.interpreted
        self._pinned = not self._direct and probe.flags.writeable and torch.from_numpy(probe).is_pinned()
        shape = (rows, probe.shape[1])
        self._staged, self._on_device = [], []
        if not self._direct:
            self._stream = torch.cuda.Stream(kernel.device.device)
            self._on_device = [torch.empty(shape, device=kernel.device.device) for _ in range(BUFFERS)]
            self._free = [torch.cuda.current_stream().record_event() for _ in range(BUFFERS)]
            if not self._pinned:
                self._staged = kernel.staging(shape)
        self._pool = ThreadPoolExecutor(kernel.readers, "mrl-sweep-read")
        self._copied: list[Any] = [None] * BUFFERS
        self._n_begun = self._n_fetched = 0

    def __enter__(self) -> Feed:
        return self

    def __exit__(self, *_error: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        if not self._direct:
            self._stream.synchronize()

    def pieces(self, spans: Iterable[tuple[Span, Span | None]]) -> Iterator[Piece]:
        """Yields the documents of `spans`, each with the shard that ends with it or None, in order. One is read ahead."""
        begun: list[tuple[Span, Span | None, list[Future[None]]]] = []
        for span, shard in spans:
            begun.append((span, shard, self._begin(span)))
            if len(begun) == READ_AHEAD:
                yield self._fetch(*begun.pop(0))
        for one in begun:
            yield self._fetch(*one)

    def wait(self, piece: Piece) -> None:
        """Makes programs that are launched from now on wait until the piece is on the device."""
        if piece.ready is not None:
            self._device.torch.cuda.current_stream().wait_event(piece.ready)

    def release(self, piece: Piece) -> None:
        """Frees the piece's buffer for the next copy once the programs launched so far have read it."""
        if piece.ready is not None:
            self._free[piece.buffer] = self._device.torch.cuda.current_stream().record_event()

    def _begin(self, span: Span) -> list[Future[None]]:
        """Begins to read documents into pinned memory, a few rows a reader at a time: so the turns run on several cores."""
        if not self._staged:
            return []
        buffer = self._n_begun % BUFFERS
        self._n_begun += 1
        if self._copied[buffer] is not None:
            self._copied[buffer].synchronize()
        out: Float32Array = self._staged[buffer].numpy()

        def read(row: int) -> None:
            end = min(row + PIECE_ROWS, span[1])
            out[row - span[0] : end - span[0]] = self._read(row, end)

        return [self._pool.submit(read, row) for row in range(*span, PIECE_ROWS)]

    def _fetch(self, span: Span, shard: Span | None, reading: list[Future[None]]) -> Piece:
        """Puts documents on the device, each part of them as soon as it is read."""
        torch, (start, stop) = self._device.torch, span
        if self._direct:
            docs = self._read(start, stop)
            return Piece(docs if self._resident else self._device.put(docs), start, shard, None, 0)
        buffer = self._n_fetched % BUFFERS
        self._n_fetched += 1
        docs = self._on_device[buffer][: stop - start]
        source = self._staged[buffer] if self._staged else torch.from_numpy(self._read(start, stop))
        with torch.cuda.stream(self._stream):
            self._stream.wait_event(self._free[buffer])
            if not reading:
                docs.copy_(source, non_blocking=True)
            for i, one in enumerate(reading):
                one.result()
                part = slice(i * PIECE_ROWS, min((i + 1) * PIECE_ROWS, stop - start))
                docs[part].copy_(source[part], non_blocking=True)
            self._copied[buffer] = self._stream.record_event()
        return Piece(docs, start, shard, self._copied[buffer], buffer)


class DeviceKernel:
    """`Kernel` on a CUDA device. Raises ImportError or RuntimeError where torch, Triton or the device cannot be used.

    `block_docs` and `listed` (entries) are upper bounds: less is taken where memory is short. `readers` threads read documents.
    On `cpu` it runs in Triton's interpreter, which is for tests. Calls from several threads take turns: the device has one.
    """

    name = "triton"

    def __init__(
        self,
        device: str = "cuda",
        *,
        block_docs: int = BLOCK_DOCS,
        listed: int = LISTED,
        tile: Tile | None = None,
        readers: int = READERS,
    ) -> None:
        import torch
        import triton

        from mrl_sweep.ranking import device_programs

        one = torch.device(device)
        if one.type == "cuda":
            if not torch.cuda.is_available():
                raise RuntimeError("torch sees no GPU")
            if torch.cuda.get_device_capability(one) < LEAST_CAPABILITY:
                raise RuntimeError("the GPU does not multiply bfloat16")
        elif not triton.knobs.runtime.interpret:
            raise RuntimeError("Triton runs on a processor with TRITON_INTERPRET=1 only")
        self.device = Device(torch, triton, device_programs, one)
        self.block_docs, self.listed, self.tile, self.readers = block_docs, listed, tile, readers
        self._lock = Lock()
        self._prepared: DeviceTargets | None = None
        self._staging: list[Tensor] = []

    def pair_scores(self, targets: Targets, docs: Float32Array, doc_rows: IntArray, query_rows: IntArray) -> Float32Array:
        n_sizes, n_pairs = len(targets.edges) - 1, len(query_rows)
        torch, put = self.device.torch, self.device.put
        with self._lock, self._current(), torch.inference_mode():
            at, rows = put(query_rows, np.int32), put(doc_rows, np.int32).repeat(n_sizes)
            keys = (torch.arange(n_sizes, dtype=torch.int32, device=at.device)[:, None] * len(targets.queries) + at).flatten()
            norms, dims = put(targets.norms), put(targets.edges[1:], np.int32)
            judged = self.device.judge(put(targets.queries), put(docs), norms, dims, keys, rows, int(targets.scoring))
            scores: Float32Array = judged.cpu().numpy().reshape(n_sizes, n_pairs)
            return scores

    def tally(self, targets: Targets, tally: Tally, docs: Float32Array, first_row: int) -> int:
        def read(start: int, stop: int) -> Any:
            return docs[start - first_row : stop - first_row]

        return self.stream(targets, tally, read, [(first_row, first_row + len(docs))], lambda _: None)

    def stream(
        self, targets: Targets, tally: Tally, read: Read, shards: Iterable[Span], on_counted: Callable[[Span], None]
    ) -> int:
        """Adds the documents of each shard; `on_counted` hears of each counted shard, of the last when the tally has them all.

        Returns the first row that is not finite or too large, or -1. Raises EnvironmentFault where memory is short.
        """
        with self._lock, self._current(), self.device.torch.inference_mode():
            shards = iter(shards)
            first = next(shards, None)
            if first is None:
                return -1
            one, feed = self._open(targets, tally, read, first)
            counted: Span | None = None
            with feed:
                pieces = feed.pieces(one.spans(itertools.chain([first], shards)))
                ahead = deque(itertools.islice(pieces, BUFFERS - 1))
                while ahead:
                    piece = ahead.popleft()
                    feed.wait(piece)
                    block = one.launch(piece.docs, piece.first_row)
                    ahead.extend(itertools.islice(pieces, 1))  # is copied while this one is counted
                    bad = one.finish(block)
                    if bad >= 0:
                        return bad
                    feed.release(piece)
                    if piece.shard is not None:
                        if counted is not None:
                            on_counted(counted)
                        counted = piece.shard
                one.add_to(tally)
            if counted is not None:
                on_counted(counted)
            return -1

    def _open(self, targets: Targets, tally: Tally, read: Read, first: Span) -> tuple[DevicePass, Feed]:
        """Opens the pass and its feed, with blocks as large as the free memory allows."""
        probe = read(first[0], first[0] + 1)
        while True:
            try:
                if self._prepared is None or self._prepared.source is not targets:
                    self._prepared = DeviceTargets(self.device, targets, self.tile, self._shared_memory())
                rows, listed = self._room(self._prepared, probe.shape[1])
                if not self.device.torch.is_tensor(probe):
                    rows = min(rows, max(SMALLEST_BLOCK, PINNED_BYTES // (4 * probe.shape[1])))
                rows = min(rows, first[1] - first[0])  # no block is larger than its shard
                return DevicePass(self.device, self._prepared, tally, rows, listed), Feed(self, read, probe, rows)
            except self.device.torch.OutOfMemoryError as error:
                if self.block_docs <= SMALLEST_BLOCK:
                    raise EnvironmentFault("the GPU has too little free memory to rank on it", "--device cpu") from error
                self.block_docs, self.listed = self.block_docs // 4, self.listed // 4
                self._prepared = None
                self.device.torch.cuda.empty_cache()

    def _room(self, t: DeviceTargets, dim: int) -> tuple[int, int]:
        """Returns the documents of a block and the entries of a list that fit the free memory of the device."""
        if self.device.interpreted:
            return self.block_docs, self.listed
        torch, device = self.device.torch, self.device.device
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        room = (torch.cuda.mem_get_info(device)[0] + idle) // SHARE_OF_MEMORY
        rows = room // (BUFFERS * 4 * dim + PART_BYTES * t.n_steps * t.columns + 32 * t.n_sizes)
        return max(SMALLEST_BLOCK, min(self.block_docs, rows)), max(1, min(self.listed, room // 16))

    def _shared_memory(self) -> int:
        """Returns the bytes of shared memory that a program may use, 0 in the interpreter."""
        if self.device.interpreted:
            return 0
        properties = self.device.torch.cuda.get_device_properties(self.device.device)
        return int(getattr(properties, "shared_memory_per_block_optin", properties.shared_memory_per_block))

    def staging(self, shape: tuple[int, int]) -> list[Tensor]:
        """Returns pinned buffers to copy from, kept from pass to pass: to pin memory takes longer than to fill it."""
        if not self._staging or tuple(self._staging[0].shape) != shape:
            self._staging = [self.device.torch.empty(shape, pin_memory=True) for _ in range(BUFFERS)]
        return self._staging

    def _current(self) -> AbstractContextManager[object]:
        """Makes the device the one that Triton launches on."""
        return self.device.torch.cuda.device(self.device.device) if not self.device.interpreted else nullcontext()
