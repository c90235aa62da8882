"""Which provider a model's name means."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mrl_sweep.embedding.model_families import HOSTED_MODELS, hosted_by
from mrl_sweep.embedding.protocol import Embedder, ModelOptions, VectorSource
from mrl_sweep.errors import InputError
from mrl_sweep.files import is_there
from mrl_sweep.words import did_you_mean, nearest, printable

_VENDORS: Final = ("openai", "voyage", "cohere", "gemini")
Opener = Callable[[str, ModelOptions], Embedder | VectorSource]


def open_embedder(spec: str, options: ModelOptions | None = None) -> Embedder | VectorSource:
    """The provider of `wordllama`, `vectors:FOLDER`, `pgvector:DSN?table=NAME`, `openai:`, `voyage:`, `cohere:` or
    `gemini:MODEL`, or of a sentence-transformers name or folder; no model is opened yet.

    Raises InputError for a name that means nothing, EnvironmentFault where the provider is not installed.
    """
    options = options or ModelOptions()
    if spec == "wordllama":
        _refuse_server(spec, options)
        return _wordllama(spec, options)
    scheme, colon, rest = spec.partition(":")
    opener = SCHEMES.get(scheme.lower()) if colon else None
    if opener is not None:
        if not rest:
            raise InputError(f"--model {spec} names no model", f"--model {scheme}:NAME")
        return opener(rest, options)
    if not is_there(spec) and (meant := _named_elsewhere(spec)):
        raise InputError(f"{printable(spec, 120)} is no folder and no name on the Hugging Face hub", f"--model {meant}")
    if colon and len(scheme) > 1 and not is_there(spec) and scheme.lower() not in ("http", "https"):
        schemes = ", ".join(f"{name}:" for name in SCHEMES)
        meant = did_you_mean(scheme, SCHEMES, spelt=lambda name: f"{name}:{rest}")
        raise InputError(
            f"unknown kind of model {scheme!r}",
            f"{meant} one of wordllama, {schemes} or a sentence-transformers name or folder".lstrip(),
        )
    if provider := hosted_by(spec):
        raise InputError(f"{spec} is a hosted model, and no provider is named", f"--model {provider}:{spec}")
    if not is_there(spec) and "/" not in spec and (hosted := nearest(spec, HOSTED_MODELS, cutoff=0.85)):
        meant = f"--model {hosted_by(hosted[0])}:{hosted[0]}"
        raise InputError(f"{printable(spec, 120)} is neither a folder nor a model's name", meant)
    if near := did_you_mean(spec, ["wordllama"]):
        raise InputError(f"{printable(spec)} is neither a folder nor a model's name", near)
    return _sentence_transformers(spec, options)


def _named_elsewhere(spec: str) -> str:
    """What to type for a model as servers and other tools name it: `ollama:x`, `x:latest`, an address, `hf:owner/name`."""
    scheme, colon, rest = spec.partition(":")
    scheme = scheme.lower()
    if scheme in ("http", "https") and not re.match(r"//(?:huggingface\.co|hf\.co)/", rest):
        address = spec.rstrip("/")
        return f"openai:NAME --base-url {address if address.endswith('/v1') else f'{address}/v1'}"
    if colon and scheme in ("hf", "huggingface", "st", "sentence-transformers") and rest:
        return rest.lstrip("/")
    ports = {"ollama": 11434, "lmstudio": 1234, "lm-studio": 1234, "llamacpp": 8080, "llama.cpp": 8080, "vllm": 8000, "tei": 8080}
    if colon and scheme in ports and rest:
        return f"openai:{rest} --base-url http://localhost:{ports[scheme]}/v1"
    if colon and re.fullmatch(r"latest|[vV]?\d[\w.]*|.*q\d.*|f16|fp16", rest) and nearest(scheme, SCHEMES, cutoff=0.8) == []:
        return f"openai:{spec} --base-url http://localhost:{ports['ollama']}/v1"
    if "@" in spec and re.fullmatch(r"[\w.-]+/[\w.-]+@[\w./-]+", spec):
        name, _, revision = spec.partition("@")
        return f"{name} --revision {revision}"
    provider, slash, name = spec.partition("/")
    return f"{provider.lower()}:{name}" if slash and provider.lower() in _VENDORS and hosted_by(name) else ""


def _wordllama(_spec: str, options: ModelOptions) -> Embedder:
    from mrl_sweep.embedding.local.sentence_transformers import open_wordllama

    return open_wordllama(options)


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


def _refuse_server(spec: str, options: ModelOptions) -> None:
    """Raise InputError where a server is named for a model that runs here."""
    if options.base_url is not None:
        raise InputError(
            f"--base-url names a server, and {printable(spec, 120)} runs on this machine",
            f"--model openai:{printable(spec, 120)} asks the server for it; or leave --base-url out",
        )


def _sentence_transformers(spec: str, options: ModelOptions) -> Embedder:
    _refuse_server(spec, options)
    from mrl_sweep.embedding.local.sentence_transformers import open_model

    return open_model(spec, options)


def _hosted(provider: str) -> Opener:
    def open_it(name: str, options: ModelOptions) -> Embedder:
        from mrl_sweep.embedding.hosted.model import open_hosted

        return open_hosted(provider, name, options)

    return open_it


SCHEMES: Final[dict[str, Opener]] = {
    "vectors": _vectors,
    "pgvector": _table,
    **{provider: _hosted(provider) for provider in _VENDORS},
}
"""What stands before the colon, and who opens the rest."""
