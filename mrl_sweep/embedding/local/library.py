"""Wraps sentence-transformers and transformers: silences them, maps their errors, counts tokens, encodes static models faster."""

from __future__ import annotations

import contextlib
import logging
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Self

import numpy as np

from mrl_sweep.embedding.local.model_files import ModelFiles, cannot_load
from mrl_sweep.embedding.protocol import ModelOptions
from mrl_sweep.errors import EnvironmentFault, InputError, MrlSweepError, first_line
from mrl_sweep.types import BoolArray, Float32Array, IntArray
from mrl_sweep.words import first_offenders


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences the libraries' own bars, reports and warnings, which colour stderr even where it is no terminal.

    What concerns a user stands in the report.
    """
    from transformers.utils import logging as library

    transformers_log: Any = library
    bars, log = transformers_log.is_progress_bar_enabled(), logging.getLogger("sentence_transformers")
    levels = transformers_log.get_verbosity(), log.level
    transformers_log.disable_progress_bar()
    transformers_log.set_verbosity(logging.CRITICAL)
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_log.set_verbosity(levels[0])
        log.setLevel(levels[1])
        if bars:
            transformers_log.enable_progress_bar()


@contextlib.contextmanager
def load_faults(files: ModelFiles, options: ModelOptions) -> Iterator[None]:
    """Turns each error of the libraries' loading into an InputError or EnvironmentFault that says what to do."""
    try:
        yield
    except OSError as error:
        fault = cannot_load(files.name, first_line(error))
        raise fault if files.repository else EnvironmentFault(fault.message, _what_to_do(str(error))) from error
    except MrlSweepError:
        raise
    except Exception as error:
        reason = first_line(error)
        if "trust_remote_code" in str(error):
            raise InputError(
                f"{files.name} needs code from its repository to run",
                "read that code, then pass --trust-remote-code with --revision COMMIT",
            ) from error
        if options.backend != "torch" and ("install" in reason or isinstance(error, ImportError)):
            raise EnvironmentFault(
                f"cannot load {files.name} with --backend {options.backend}: {reason}",
                f"pip install 'sentence-transformers[{options.backend}]'",
            ) from error
        raise EnvironmentFault(f"cannot load the model {files.name}: {reason}", _what_to_do(str(error))) from error


def _what_to_do(said: str) -> str:
    """Returns a hint for a library's message that it could not load a model."""
    if re.search(r"out of date|not recogni[sz]e|does not define|No module named|requires .{0,40}(?:version|upgrade)", said):
        return "pip install -U sentence-transformers transformers: its files may be of a later release than those here"
    if re.search(r"feature extractor|image processor|processing class", said):
        return "is it a model of texts? It has no tokenizer, or its description is of another kind"
    if re.search(r"CUDA|cuda|MPS|\bmps\b|device", said):
        return "--device cpu"
    return "are its files whole? download the folder again"


@contextlib.contextmanager
def whole_weights(name: str) -> Iterator[None]:
    """Raises InputError where transformers reports that it made up weights which the files lack: vectors would be random.

    A pooler is no such weight: nothing reads what it gives.
    """
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("transformers.modeling_utils")
    before = (logger.level, logger.propagate)
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
    text = "\n".join(said)
    listed = re.findall(r"^\s*(\S.*?)\s*\|\s*(?:\x1b\[[\d;]*m)?MISSING", text, re.MULTILINE)
    elder = re.search(r"newly initialized: \[([^\]]*)\]", text)
    listed += re.findall(r"'([^']+)'", elder[1]) if elder else []
    missing = [weight for weight in listed if "pooler" not in weight]
    if missing:
        raise InputError(
            f"{name}: its files lack weights of the model, which would be random: {first_offenders(sorted(missing), limit=3)}",
            "download the folder again, whole; else its config.json describes another model than its weights",
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Tells whether memory was short, by the error's name or words: older backends raise a RuntimeError that only says so."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or "out of memory" in str(error).lower()


def cannot_encode(name: str, error: Exception) -> MrlSweepError:
    """Makes, of an error that a library raised over a text, an InputError or EnvironmentFault that says what to do."""
    if isinstance(error, MrlSweepError):
        return error
    if is_out_of_memory(error):
        return EnvironmentFault(
            f"{name}: not enough memory to encode even one text", "--device cpu, or --max-length N to read less of each text"
        )
    if isinstance(error, IndexError):
        return InputError(
            f"{name} cannot encode a text: it has fewer positions or words than the text needs ({first_line(error)})",
            "--max-length 512, or what the model's card says; else its tokenizer and its weights do not belong together",
        )
    kind = type(error).__name__
    return EnvironmentFault(
        f"{name} failed while encoding: {kind}: {first_line(error)}",
        "--device cpu, --batch-size 1 or --max-length N may avoid it",
    )


def full_size(model: Any) -> int:
    """Returns how many dimensions the model gives when nothing is cut."""
    size = getattr(model, "get_embedding_dimension", None) or getattr(model, "get_sentence_embedding_dimension", None)
    with quiet():
        dim = size() if size is not None else None
    return int(dim) if dim else int(model.encode(["size"], show_progress_bar=False).shape[1])


class StaticEncoder:
    """Encodes with a SentenceTransformer of one StaticEmbedding and, perhaps, a normalisation; gives the bytes of its `encode`.

    Such a model's time goes into its tokeniser and the work around it for each text: this skips the character offsets, the
    guess whether an input is a text, the sorting by length (nothing is padded), and a tensor object for each text.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    @classmethod
    def on(cls, model: Any) -> Self | None:
        """Makes the encoder of a model of these modules; None for any other."""
        kinds = [type(module).__name__ for module in model]
        return cls(model) if kinds[:1] == ["StaticEmbedding"] and set(kinds[1:]) <= {"Normalize"} else None

    def encode(self, texts: Sequence[str]) -> tuple[Float32Array, IntArray]:
        """Returns (n, dim) float32 vectors and (n,) numbers of tokens."""
        import torch

        first, device = self._model[0], self._model.device
        encodings = first.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        ids = [encoding.ids for encoding in encodings]
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        flat = np.fromiter(chain.from_iterable(ids), np.int64, int(lengths.sum()))
        offsets = np.cumsum(lengths) - lengths
        with torch.inference_mode():
            pooled = first.embedding(torch.from_numpy(flat).to(device), torch.from_numpy(offsets).to(device))
            features = {"sentence_embedding": pooled}
            for module in list(self._model)[1:]:
                features = module(features)
        return np.ascontiguousarray(features["sentence_embedding"].float().cpu().numpy()), lengths


class TokenCounter:
    """Counts tokens at a model's tokeniser. Where that gives its encodings, a text is truncated if tokens overflowed; elsewhere
    if it fills the maximum length.
    """

    def __init__(self, max_length: int) -> None:
        self._max_length = max_length
        self._seen: dict[str, tuple[int, bool]] = {}

    @classmethod
    def on(cls, model: Any) -> Self | None:
        """Installs a counter; None for models without a maximum length, which never truncate."""
        length = getattr(model, "max_seq_length", None)
        if length is None or not math.isfinite(length):
            return None
        counter = cls(int(length))
        name = "preprocess" if hasattr(model, "preprocess") else "tokenize"
        original = getattr(model, name)

        def listened(texts: Any, *args: Any, **kwargs: Any) -> Any:
            features = original(texts, *args, **kwargs)
            counter.note(texts, features)
            return features

        setattr(model, name, listened)
        return counter

    def begin(self) -> None:
        """Forgets the batch before."""
        self._seen.clear()

    def note(self, texts: Any, features: Any) -> None:
        """Notes how many tokens the tokeniser made of each of these texts, and whether it cut the text."""
        encodings = getattr(features, "encodings", None)
        mask = features.get("attention_mask") if hasattr(features, "get") else None
        if mask is None or len(mask) != len(texts):
            return
        counts = [int(count) for count in mask.sum(1).tolist()]
        if encodings is not None and len(encodings) == len(texts):
            cut = [bool(encoding.overflowing) for encoding in encodings]
        else:
            cut = [count >= self._max_length for count in counts]
        for text, count, truncated in zip(texts, counts, cut, strict=True):
            if isinstance(text, str):
                self._seen[text] = (count, truncated)

    def take(self, texts: Sequence[str], prompt: str) -> tuple[IntArray, BoolArray] | tuple[None, None]:
        """Returns (n,) int64 tokens read and (n,) bool truncated of the batch's texts; None, None where one was not noted."""
        entries = [self._seen.get(text) or self._seen.get(prompt + text) for text in texts]
        noted = [entry for entry in entries if entry is not None]
        if len(noted) < len(texts):
            return None, None
        return np.array([entry[0] for entry in noted], np.int64), np.array([entry[1] for entry in noted], np.bool_)
