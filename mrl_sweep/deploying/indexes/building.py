"""Building an index from vectors: truncate, renormalise, then quantise, block by block; training on a sample of documents.

FAISS writes warnings straight to file descriptor 2: they are taken away there, and all else passes at once.
Built indexes are kept on disk under what they were built from, so that a later run need not build them again.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from mrl_sweep.deploying.index_spec import SPEC_FORMS, IndexSpec
from mrl_sweep.deploying.indexes.faiss_index import FAISS_VERSION, FaissIndex, TrainingNeed, make_index, read_index, training_need
from mrl_sweep.deploying.indexes.measurement import anonymous_bytes
from mrl_sweep.errors import EnvironmentFault, InputError
from mrl_sweep.events import OnEvent, Progress, ignore
from mrl_sweep.files import json_digest, replacing
from mrl_sweep.ranking.pass_plan import unit_prefix
from mrl_sweep.record import record
from mrl_sweep.types import SEED, Advice, Float32Array, Similarity, Vectors
from mrl_sweep.words import plural, size

BLOCK_BYTES: Final = 32 * 2**20
"""Bytes of the corpus in memory at once besides the index: full-size float32 rows of one block."""

SAMPLE_BYTES: Final = 2**30
"""The most bytes that training vectors take, unless FAISS advises more of them."""


@record(kw_only=True)
class IndexCut:
    """A cut is what reaches an index of full-size rows: how many numbers, and how they compare."""

    dim: int
    similarity: Similarity = Similarity.COSINE

    def apply(self, rows: Float32Array) -> Float32Array:
        """Truncates and renormalises: (n, full) -> (n, dim) float32. Zero rows stay zero."""
        return unit_prefix(rows, self.dim, similarity=self.similarity)


@record
class Built:
    """An index, its build's seconds and bytes. `certified` is False where it was trained on fewer vectors than FAISS advises."""

    index: FaissIndex
    train_s: float
    build_s: float
    resident_bytes: int | None
    certified: bool
    advice: tuple[Advice, ...]


def prefix_rows(vectors: Vectors, cut: IndexCut, *, block_bytes: int = BLOCK_BYTES) -> Iterator[Float32Array]:
    """Yields the corpus in row order as blocks of cut rows; no more than one block of full-size rows is held."""
    step = max(1, block_bytes // (4 * vectors.dim))
    for start in range(0, len(vectors), step):
        yield cut.apply(vectors.read(start, min(start + step, len(vectors))))


def build_index(
    vectors: Vectors,
    cut: IndexCut,
    spec: IndexSpec,
    *,
    seed: int = 0,
    sample_bytes: int = SAMPLE_BYTES,
    on_event: OnEvent = ignore,
) -> Built:
    """Makes the index and fills it: see `fill_index`."""
    index = make_index(spec, cut.dim, cut.similarity)
    return fill_index(index, vectors, cut, seed=seed, sample_bytes=sample_bytes, on_event=on_event)


def fill_index(
    index: FaissIndex,
    vectors: Vectors,
    cut: IndexCut,
    *,
    seed: int = 0,
    sample_bytes: int = SAMPLE_BYTES,
    on_event: OnEvent = ignore,
) -> Built:
    """Trains on a sample of documents (never on queries), drawn by `seed`, and adds every document block by block.

    FAISS's warnings become `advice`. Raises InputError where the corpus holds fewer vectors than the index has centroids.
    """
    name, need = f"{index.spec.factory} at {cut.dim}", training_need(index)
    refuse_too_few(index.spec, need, len(vectors))
    before = anonymous_bytes()
    start = time.perf_counter()
    warnings: list[str] = []
    if not index.is_trained:
        on_event(Progress(f"index {name}", 0, len(vectors), "documents", "training"))
        sample = _training_sample(vectors, cut, need, seed, sample_bytes)
        with captured_warnings() as warnings:
            index.train(sample)
        del sample
    trained = time.perf_counter()
    for block in prefix_rows(vectors, cut):
        with captured_warnings() as late:
            index.add(block)
        warnings += [line for line in late if line not in warnings]
        on_event(Progress(f"index {name}", len(index), len(vectors), "documents"))
    del block
    end = time.perf_counter()
    after = anonymous_bytes()
    return Built(
        index,
        train_s=trained - start,
        build_s=end - start,
        resident_bytes=None if before is None or after is None else max(after - before, 0),
        certified=len(vectors) >= need.advised,
        advice=_advice(name, need, len(vectors), warnings),
    )


def try_building(spec: IndexSpec, dim: int, similarity: Similarity) -> None:
    """Builds the index on a few random vectors of this size and searches it, with four lists where it asks for more.

    Raises InputError with FAISS's reason: some strings it takes at any size, and refuses when they are trained or filled.
    """
    index = make_index(replace(spec, factory=_FEW_LISTS.sub(r"\g<1>4", spec.factory)), dim, similarity)
    need = training_need(index)
    if need.least > _MOST_TRIED:
        return
    rows = unit_prefix(np.random.default_rng(SEED).standard_normal((max(need.least, _LEAST_TRIED), dim), np.float32), dim)
    with captured_warnings():
        index.shorten_training()
        if not index.is_trained:
            index.train(rows)
        for half in np.array_split(rows, 2):  # as a corpus arrives, some of it at a time
            index.add(half)
        rows_found, _ = index.search(rows[:1], 1)
    if len(index) != len(rows) or rows_found.shape != (1, 1):
        raise InputError(
            f"index {spec.factory} at {dim} dimensions keeps {len(index):,} of {plural(len(rows), 'vector')}", SPEC_FORMS
        )


_FEW_LISTS: Final = re.compile(r"\b(IVF|IMI\dx)\d+")
_LEAST_TRIED: Final = 256
_MOST_TRIED: Final = 4096
"""What needs more training vectors than this (PQ with 16 bits) is not tried: a trial must not take longer than the run."""


def refuse_too_few(spec: IndexSpec, need: TrainingNeed, n_documents: int) -> None:
    """Raises InputError where the index cannot be trained or filled at all."""
    if n_documents == 0:
        raise InputError("there is no document to index", "check the collection's corpus")
    if n_documents < need.least:
        raise InputError(
            f"{spec.factory} needs >= {need.advised:,} training vectors (and cannot be trained on fewer than {need.least:,}); "
            f"the corpus has {n_documents:,}",
            "choose fewer lists or centroids, or an index without training: " + SPEC_FORMS,
        )


def _advice(name: str, need: TrainingNeed, n_documents: int, warnings: list[str]) -> tuple[Advice, ...]:
    """Advises of too few training vectors, once, in our words; of all else that FAISS warned of, in its own."""
    advice = []
    if n_documents < need.advised:
        advice.append(
            Advice(
                "index-training",
                f"{name} needs >= {need.advised:,} training vectors and had {n_documents:,}: not certified",
                "choose fewer lists or centroids, or a larger corpus",
            )
        )
    others = [line for line in warnings if not re.search("please provide at least", line)]
    advice += [Advice("index-warning", f"FAISS on {name}: {line}") for line in others]
    return tuple(advice)


def _training_sample(vectors: Vectors, cut: IndexCut, need: TrainingNeed, seed: int, most_bytes: int) -> Float32Array:
    """Draws cut rows of documents at random: as many as are of use, within `most_bytes` but never fewer than advised."""
    affordable = max(need.advised, most_bytes // (4 * cut.dim))
    n = min(len(vectors), need.most, affordable)
    rows = np.arange(n) if n == len(vectors) else np.sort(np.random.default_rng(seed).choice(len(vectors), n, replace=False))
    sample = np.empty((n, cut.dim), np.float32)
    step = max(1, BLOCK_BYTES // (4 * vectors.dim))
    for start in range(0, n, step):
        sample[start : start + step] = cut.apply(vectors.take(rows[start : start + step]))
    return sample


_WARNING = re.compile(rb"WARN(?:ING)?:? [^\n]*\n")
_UNFINISHED = re.compile(rb"WARN(?:ING)?:? [^\n]*\Z")
_LOCK = threading.Lock()


@contextlib.contextmanager
def captured_warnings() -> Iterator[list[str]]:
    """Catches the `WARNING …` lines that reach descriptor 2 inside the block, each once; all else that is written passes.

    The list is complete when the block has ended. Descriptors belong to the process: while one block captures, another
    captures nothing.
    """
    caught: list[str] = []
    if not _LOCK.acquire(blocking=False):
        yield caught
        return
    try:
        with _descriptor_2_piped() as pipe:
            if pipe is None:
                yield caught
                return
            read_end, original = pipe
            sorter = threading.Thread(target=_sort, args=(read_end, original, caught), daemon=True)
            sorter.start()
            try:
                yield caught
            finally:
                os.dup2(original, 2)
                sorter.join()
    finally:
        _LOCK.release()


@contextlib.contextmanager
def _descriptor_2_piped() -> Iterator[tuple[int, int] | None]:
    """Yields (the pipe's reading end, the original descriptor), or None where the process has no descriptor 2."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
    try:
        original = os.dup(2)
    except OSError:
        yield None
        return
    read_end, write_end = os.pipe()
    os.dup2(write_end, 2)
    os.close(write_end)
    try:
        yield read_end, original
    finally:
        os.close(read_end)
        os.close(original)


def _sort(read_end: int, original: int, caught: list[str]) -> None:
    """Reads until the last writer has closed; an unfinished warning is held back until its line ends."""
    held = b""
    while chunk := os.read(read_end, 65536):
        held = _pass_on(held + chunk, original, caught)
    _pass_on(held + b"\n" if held else b"", original, caught)


def _pass_on(written: bytes, original: int, caught: list[str]) -> bytes:
    for warning in _WARNING.findall(written):
        text = warning.decode("utf-8", "replace").strip()
        if text not in caught:
            caught.append(text)
    rest = _WARNING.sub(b"", written)
    unfinished = _UNFINISHED.search(rest)
    held = unfinished.group() if unfinished else b""
    with contextlib.suppress(OSError):
        os.write(original, rest[: len(rest) - len(held)])
    return held


SHELF_FORMAT: Final = 1
_MEASURED: Final = ("train_s", "build_s", "resident_bytes", "certified")


@record
class IndexShelf:
    """A shelf is a folder of `NAME.faiss` files, each beside a `NAME.json` written last that says what it was built from.

    `content` identifies the vectors (a digest of the documents' embeddings); search parameters and queries play no part.
    """

    folder: Path
    content: str

    def take(self, vectors: Vectors, cut: IndexCut, spec: IndexSpec, *, seed: int) -> Built | None:
        """Reads the index as it was built, with the times it took then; None where there is none, or not a whole one."""
        facts = self._facts(vectors, cut, spec, seed)
        path = self._path(facts)
        try:
            card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            if card["facts"] != facts or card["bytes"] != path.stat().st_size:
                return None
            index = read_index(path, spec, sign=int(card["sign"]))
            if len(index) != len(vectors):
                return None
            return Built(
                index,
                **{name: card[name] for name in _MEASURED},
                advice=tuple(Advice(**advice) for advice in card["advice"]),
            )
        except (OSError, ValueError, KeyError, TypeError, RuntimeError):
            return None

    def put(self, built: Built, vectors: Vectors, cut: IndexCut, *, seed: int) -> Path:
        """Writes the index, then its card, each under a temporary name first; returns its file. Raises EnvironmentFault."""
        facts = self._facts(vectors, cut, built.index.spec, seed)
        path = self._path(facts)
        advice = [{"code": one.code, "message": one.message, "hint": one.hint} for one in built.advice]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as draft:
                built.index.write(draft)
            card = {"facts": facts, "bytes": path.stat().st_size, "sign": built.index.sign, "advice": advice}
            card |= {name: getattr(built, name) for name in _MEASURED}
            text = json.dumps(card, indent=1)
            with replacing(path.with_suffix(".json")) as draft:
                draft.write_text(text, encoding="utf-8")
        except (OSError, RuntimeError) as error:
            message = f"cannot keep {path.name} in {self.folder} (needs about {size(built.index.size_bytes())}): {error}"
            raise EnvironmentFault(message, "free some space, or leave out --keep-indexes") from error
        return path

    def _facts(self, vectors: Vectors, cut: IndexCut, spec: IndexSpec, seed: int) -> dict[str, Any]:
        return {
            "format": SHELF_FORMAT,
            "faiss": FAISS_VERSION,
            "content": self.content,
            "shape": list(vectors.shape),
            "factory": spec.factory,
            "dim": cut.dim,
            "similarity": str(cut.similarity),
            "rotation": None,  # as earlier versions named what they kept
            "seed": seed,
        }

    def _path(self, facts: Mapping[str, Any]) -> Path:
        name = re.sub(r"[^A-Za-z0-9]+", "-", facts["factory"])[:40].strip("-")
        return self.folder / f"{name}-{facts['dim']}-{json_digest(facts)}.faiss"
