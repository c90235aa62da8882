"""Local models through sentence-transformers: of a folder, of the hub, or the table in WordLlama's wheel.

The library is imported when the model is opened and not before.
"""

from __future__ import annotations

import importlib.util
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Final

import numpy as np

from mrl_sweep.embedding.local.library import (
    StaticEncoder,
    TokenCounter,
    cannot_encode,
    full_size,
    is_out_of_memory,
    load_faults,
    quiet,
    whole_weights,
)
from mrl_sweep.embedding.local.look import look_at, modules_of
from mrl_sweep.embedding.local.model_files import (
    ModelFiles,
    family_of_files,
    find_model,
    foreign_code,
    model_files,
    pinned,
)
from mrl_sweep.embedding.model_families import (
    Family,
    family_of,
    prompts_of,
    refuse_non_prefix,
    saved_settings,
    says_matryoshka,
    trained_dims,
    transformed,
)
from mrl_sweep.embedding.protocol import Batching, Encoded, ModelOptions, Role
from mrl_sweep.errors import EnvironmentFault, InputError, MissingExtra
from mrl_sweep.files.digests import FileDigests
from mrl_sweep.record import record
from mrl_sweep.types import Advice, ModelFacts, Similarity

_BATCH: Final = 32
_STATIC_BATCH: Final = 512
_CHUNKS_PER_PROCESS: Final = 4


@record(kw_only=True)
class Origin:
    """An origin says where a local model comes from: `key` goes into its identity, `open` returns its SentenceTransformer."""

    name: str
    key: Mapping[str, Any]
    open: Callable[[], Any]
    folder: Path | None = None
    family: Family | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[Advice, ...] = ()


class LocalModel:
    """An `Embedder` over a SentenceTransformer that is opened at the first need."""

    def __init__(self, origin: Origin, options: ModelOptions) -> None:
        self._origin, self._options = origin, options
        self._prompts = prompts_of(origin.folder, origin.family, options)
        self._transform = origin.family.transform if origin.family else None
        self._model: Any = None
        self._counter: TokenCounter | None = None
        self._static: StaticEncoder | None = None
        self._pool: Any = None
        self._fitting = options.batch_size or _BATCH
        self._opening = threading.Lock()

    @property
    def name(self) -> str:
        return self._origin.name

    @property
    def batching(self) -> Batching:
        static = self._is_static
        texts = self._options.batch_size or (_STATIC_BATCH if static else _BATCH)
        processes = max(1, self._options.processes)
        return Batching(texts=texts if processes == 1 else texts * processes * _CHUNKS_PER_PROCESS, by_length=not static)

    def identity(self, role: Role) -> Mapping[str, Any]:
        return {
            **self._origin.key,
            "role": role.value,
            "prompt": self._prompts.of(role),
            "transform": self._transform,
            "max_length": self._options.max_length,
            "backend": self._options.backend,
        }

    def facts(self) -> ModelFacts:
        model = self.opened()
        full = full_size(model)
        length = getattr(model, "max_seq_length", None)
        folder, settings = self._origin.folder, saved_settings(self._origin.folder)
        saved = settings.get("truncate_dim")
        details = {
            **self._origin.details,
            "prompts": {"query": self._prompts.query, "document": self._prompts.document, "from": self._prompts.origin},
            "family": self._origin.family.name if self._origin.family else None,
            "transform": self._transform,
            "backend": self._options.backend,
            "says_matryoshka": says_matryoshka(folder),
        }
        return ModelFacts(
            dim=full,
            max_length=int(length) if length is not None and math.isfinite(length) else None,
            similarity=settings.get("similarity_fn_name"),
            trained_dims=trained_dims(self._origin.family, full, folder),
            warnings=(*self._origin.warnings, *_advice(self.name, full, saved, settings, self._prompts.origin)),
            details=details if saved is None else details | {"saved_truncate_dim": saved},
        )

    def encode(self, texts: Sequence[str], role: Role) -> Encoded:
        model, prompt = self.opened(), self._prompts.of(role)
        if self._static is not None:
            try:
                rows, tokens = self._static.encode([prompt + text for text in texts] if prompt else texts)
            except Exception as error:
                raise cannot_encode(self.name, error) from error
            return Encoded(transformed(self._transform, rows), tokens, np.zeros(len(rows), np.bool_))
        method = getattr(model, f"encode_{role.value}", model.encode)
        options: dict[str, Any] = {"prompt": prompt, "show_progress_bar": False, "convert_to_numpy": True}
        if self._options.processes > 1:
            options |= {"pool": self._processes(model), "chunk_size": max(1, len(texts) // self._options.processes)}
        if self._counter is not None:
            self._counter.begin()
        vectors = self._in_fitting_batches(lambda size: method(list(texts), batch_size=size, **options))
        if vectors.shape[1] != (size := full_size(model)):
            raise InputError(
                f"{self.name} gives {vectors.shape[1]} dimensions for a {role}, and its size is {size}",
                "take a model whose queries and documents have one size",
            )
        rows = transformed(self._transform, np.ascontiguousarray(vectors, dtype=np.float32))
        return Encoded(rows) if self._counter is None else Encoded(rows, *self._counter.take(texts, prompt))

    def _in_fitting_batches(self, encode: Callable[[int], Any]) -> Any:
        """Calls `encode` with a batch size, which is halved as long as the device's memory does not hold a batch.

        Raises InputError or EnvironmentFault for any other error of the libraries.
        """
        size = self._fitting
        while True:
            try:
                with quiet():
                    vectors = encode(size)
            except Exception as error:
                if not is_out_of_memory(error) or size == 1:
                    raise cannot_encode(self.name, error) from error
                size = self._fitting = max(1, size // 2)  # later batches begin with what fitted
                import torch

                torch.cuda.empty_cache()
                continue
            if getattr(vectors, "ndim", 0) != 2:
                raise InputError(
                    f"{self.name} makes no single vector of a text",
                    "take a dense model with one vector a text, or add its pooling",
                )
            return vectors

    def close(self) -> None:
        if self._pool is not None:
            self._model.stop_multi_process_pool(self._pool)
            self._pool = None

    @property
    def _is_static(self) -> bool:
        folder = self._origin.folder
        return folder is None or any(module.name == "StaticEmbedding" for module in modules_of(folder))

    def opened(self) -> Any:
        """Returns the SentenceTransformer itself, at full size; the first call opens it."""
        with self._opening:
            if self._model is None:
                model = self._origin.open()
                model.truncate_dim = None
                if self._options.max_length is not None:
                    model.max_seq_length = self._options.max_length
                if self._options.processes <= 1:
                    self._static, self._counter = StaticEncoder.on(model), TokenCounter.on(model)
                self._model = model
        return self._model

    def _processes(self, model: Any) -> Any:
        if self._pool is None:
            on_cpu = model.device.type == "cpu"
            device = self._options.device or ("cpu" if on_cpu else None)
            self._pool = model.start_multi_process_pool([device] * self._options.processes if device else None)
        return self._pool


def open_model(spec: str, options: ModelOptions) -> LocalModel:
    """Returns the model of a folder or a hub name, not opened yet. Raises as `find_model` does, and InputError as `look_at`."""
    if options.backend not in ("torch", "onnx", "openvino"):
        raise InputError(f"unknown backend {options.backend!r}", "--backend torch, onnx or openvino")
    files = find_model(spec, options)
    family = family_of_files(files)
    refuse_non_prefix(family, files.name)
    described, advice = look_at(files, options, prompts_of(files.folder, family, options))
    if options.trust_remote_code and files.repository and not pinned(options.revision):
        raise InputError(
            f"{files.name} would run code from its repository, and no commit says which",
            f"--trust-remote-code --revision {files.commit}, once you have read that code",
        )
    if files.repository:
        key: dict[str, Any] = {"model": files.repository, "revision": files.commit}
        details = {"name": files.repository, "revision": files.commit}
    else:
        digest = FileDigests(options.cache_dir).of(model_files(files.folder, options.backend), files.folder)
        key, details = {"model": None, "revision": digest}, {"name": files.name, "digest": digest}
    if options.trust_remote_code and (code := foreign_code(files)):
        advice += (Advice("foreign-code", f"{files.name} takes code from {code}, which --revision does not pin"),)
    return LocalModel(
        Origin(
            name=files.name,
            key={"provider": "sentence-transformers", **key},
            open=lambda: _open(files, options),
            folder=files.folder,
            family=family,
            details={"provider": "sentence-transformers", **details, **described},
            warnings=advice,
        ),
        options,
    )


def _open(files: ModelFiles, options: ModelOptions) -> Any:
    """Opens the files that `look_at` has checked, never others: a hub name at the commit that the identity names."""
    spec = files.repository or str(files.folder)
    common: dict[str, Any] = {
        "device": options.device,
        "revision": files.commit,
        "trust_remote_code": options.trust_remote_code,
        "backend": options.backend,
    }
    from sentence_transformers import SentenceTransformer

    with quiet(), load_faults(files, options), whole_weights(files.name):
        try:
            return SentenceTransformer(spec, local_files_only=True, **common)
        except OSError:
            if options.offline or files.repository is None:
                raise
            return SentenceTransformer(spec, local_files_only=False, **common)


def _advice(name: str, full: int, saved: Any, settings: Mapping[str, Any], origin: str) -> Iterator[Advice]:
    if saved is not None:
        yield Advice(
            "truncate-dim-forced",
            f"{name} was saved to cut its vectors to {saved}; the sweep starts from its full {full} dimensions",
        )
    similarity = settings.get("similarity_fn_name")
    if similarity not in (None, *Similarity):
        yield Advice(
            "similarity-not-offered",
            f"{name} compares its vectors by {similarity} distance, which is not offered: cosine is measured",
            "on unit vectors Euclidean distance ranks as cosine does",
        )
    default = settings.get("default_prompt_name")
    if default and origin == "none":
        yield Advice(
            "default-prompt",
            f"{name} names a default prompt, {default!r}, which is applied neither to queries nor to documents",
            f"--query-prompt {default} or --document-prompt {default} applies it",
        )


_WEIGHTS: Final = "weights/l2_supercat_256.safetensors"
_TOKENIZER: Final = "tokenizers/l2_supercat_tokenizer_config.json"


def open_wordllama(options: ModelOptions) -> LocalModel:
    """Returns the model of the 256-column table and its tokenizer in WordLlama's wheel. The package itself is not imported.

    Raises MissingExtra without the package, EnvironmentFault where a release of it has other files.
    """
    spec = importlib.util.find_spec("wordllama")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra("wordllama", "wordllama")
    root = Path(next(iter(spec.submodule_search_locations)))
    files = [root / _WEIGHTS, root / _TOKENIZER]
    missing = [str(file.relative_to(root)) for file in files if not file.is_file()]
    if missing:
        raise EnvironmentFault(f"this release of wordllama has no {', '.join(missing)}", "pip install 'wordllama>=0.3,<0.5'")
    digest = FileDigests(options.cache_dir).of(files, root)
    origin = Origin(
        name="wordllama",
        key={"provider": "wordllama", "model": "l2_supercat_256", "revision": digest},
        open=lambda: _table_model(root, options),
        family=family_of("wordllama"),
        details={"provider": "wordllama", "name": "l2_supercat_256", "digest": digest},
    )
    return LocalModel(origin, options)


def _table_model(root: Path, options: ModelOptions) -> Any:
    from safetensors.numpy import load_file
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

    try:
        from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    except ImportError:  # before sentence-transformers 6
        from sentence_transformers.models import StaticEmbedding  # type: ignore[no-redef]
    (table,) = load_file(root / _WEIGHTS).values()
    tokens = Tokenizer.from_file(str(root / _TOKENIZER))
    tokens.no_truncation()
    tokens.no_padding()
    module = StaticEmbedding(tokens, embedding_weights=table.astype(np.float32))
    return SentenceTransformer(modules=[module], device=options.device or "cpu")
