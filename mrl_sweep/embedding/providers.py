"""Chooses the provider by a model's name (`openai:NAME`, a folder, a hub name); each is imported at its first use."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mrl_sweep.embedding.protocol import Embedder, ModelOptions, VectorSource
from mrl_sweep.errors import InputError
from mrl_sweep.files import is_there
from mrl_sweep.words import did_you_mean, nearest, printable


def open_embedder(spec: str, options: ModelOptions | None = None) -> Embedder | VectorSource:
    """Returns the provider of `wordllama`, `vectors:FOLDER`, `pgvector:DSN?table=NAME`, `openai:`, `voyage:`, `cohere:` or
    `gemini:MODEL`, or of a sentence-transformers name or folder; no model is opened yet.

    Raises InputError for a name of no model, EnvironmentFault where a package is missing or the hub cannot be reached.
    """
    options = options or ModelOptions()
    if spec == "wordllama":
        return _local(spec, options)
    scheme, colon, rest = spec.partition(":")
    opener = _opener(scheme.lower()) if colon else None
    if opener is not None:
        if not rest:
            raise InputError(f"--model {spec} names no model", f"--model {scheme}:NAME")
        return opener(rest, options)
    if not is_there(spec):
        _refuse_other_names(spec)
    return _local(spec, options)


def _opener(scheme: str) -> Callable[[str, ModelOptions], Embedder | VectorSource] | None:
    """Returns the function that opens what stands after the colon; None where no provider has this name."""
    if scheme in _EXISTING:
        return _EXISTING[scheme]
    from mrl_sweep.embedding.hosted.vendors import VENDORS

    if scheme not in VENDORS:
        return None
    from mrl_sweep.embedding.hosted.model import open_hosted

    return lambda model, options: open_hosted(scheme, model, options)


def _vectors(spec: str, options: ModelOptions) -> VectorSource:
    from mrl_sweep.embedding.vectors.rows import Names
    from mrl_sweep.embedding.vectors.source import VectorFolder

    if is_there(Path(spec).expanduser()):
        return VectorFolder(Path(spec).expanduser(), Names(), options.cache_dir)
    folder, _, named = spec.partition("?")
    return VectorFolder(Path(folder).expanduser(), Names.parse(named), options.cache_dir)


def _table(spec: str, _options: ModelOptions) -> VectorSource:
    from mrl_sweep.embedding.vectors.database import VectorTable

    return VectorTable(spec)


_EXISTING: Final = {"vectors": _vectors, "pgvector": _table}
"""Functions that open vectors that exist already, by what stands before the colon."""


def _local(spec: str, options: ModelOptions) -> Embedder:
    """Opens a model that runs here. Raises InputError where a server is named for it."""
    if options.base_url is not None:
        raise InputError(
            f"--base-url names a server, and {printable(spec, 120)} runs on this machine",
            f"--model openai:{printable(spec, 120)} asks the server for it; or leave --base-url out",
        )
    from mrl_sweep.embedding.local.sentence_transformers import open_model, open_wordllama

    return open_wordllama(options) if spec == "wordllama" else open_model(spec, options)


def _refuse_other_names(spec: str) -> None:
    """Raises InputError, with what to type, for a name that is no folder's and cannot be one of the Hugging Face hub."""
    from mrl_sweep.embedding.hosted.vendors import VENDORS, hosted_by

    if meant := _named_elsewhere(spec):
        raise InputError(f"{printable(spec, 120)} is no folder and no name on the Hugging Face hub", f"--model {meant}")
    scheme, colon, rest = spec.partition(":")
    if colon and len(scheme) > 1 and scheme.lower() not in ("http", "https"):
        schemes = [*_EXISTING, *VENDORS]
        meant = did_you_mean(scheme, schemes, spelt=lambda name: f"{name}:{rest}")
        kinds = ", ".join(f"{name}:" for name in schemes)
        raise InputError(
            f"unknown kind of model {scheme!r}",
            f"{meant} one of wordllama, {kinds} or a sentence-transformers name or folder".lstrip(),
        )
    if provider := hosted_by(spec):
        raise InputError(f"{spec} is a hosted model, and no provider is named", f"--model {provider}:{spec}")
    well_known = [name for vendor in VENDORS.values() for name in vendor.well_known]
    if "/" not in spec and (hosted := nearest(spec, well_known, cutoff=0.85)):
        meant = f"--model {hosted_by(hosted[0])}:{hosted[0]}"
        raise InputError(f"{printable(spec, 120)} is neither a folder nor a model's name", meant)
    if near := did_you_mean(spec, ["wordllama"]):
        raise InputError(f"{printable(spec)} is neither a folder nor a model's name", near)


_PORTS: Final = {
    "ollama": 11434,
    "lmstudio": 1234,
    "lm-studio": 1234,
    "llamacpp": 8080,
    "llama.cpp": 8080,
    "vllm": 8000,
    "tei": 8080,
}
"""Ports at which model servers listen by default."""


def _named_elsewhere(spec: str) -> str:
    """Returns what to type for a name of servers or other tools, or "": `ollama:x`, `x:latest`, an address, `hf:owner/name`."""
    from mrl_sweep.embedding.hosted.vendors import VENDORS, hosted_by

    scheme, colon, rest = spec.partition(":")
    scheme = scheme.lower()
    if scheme in ("http", "https") and not re.match(r"//(?:huggingface\.co|hf\.co)/", rest):
        address = spec.rstrip("/")
        return f"openai:NAME --base-url {address if address.endswith('/v1') else f'{address}/v1'}"
    if colon and scheme in ("hf", "huggingface", "st", "sentence-transformers") and rest:
        return rest.lstrip("/")
    if colon and scheme in _PORTS and rest:
        return f"openai:{rest} --base-url http://localhost:{_PORTS[scheme]}/v1"
    is_tag = colon and re.fullmatch(r"latest|[vV]?\d[\w.]*|.*q\d.*|f16|fp16", rest)
    if is_tag and not nearest(scheme, [*_EXISTING, *VENDORS], cutoff=0.8):
        return f"openai:{spec} --base-url http://localhost:{_PORTS['ollama']}/v1"
    if "@" in spec and re.fullmatch(r"[\w.-]+/[\w.-]+@[\w./-]+", spec):
        name, _, revision = spec.partition("@")
        return f"{name} --revision {revision}"
    provider, slash, name = spec.partition("/")
    return f"{provider.lower()}:{name}" if slash and provider.lower() in VENDORS and hosted_by(name) else ""
