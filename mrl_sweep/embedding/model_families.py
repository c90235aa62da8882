"""Model families: Matryoshka sizes, prompts and the transform before cutting, by a table or by the model's own files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from mrl_sweep.embedding.protocol import ModelOptions, Role
from mrl_sweep.errors import InputError
from mrl_sweep.record import record
from mrl_sweep.types import Float32Array
from mrl_sweep.words import first_offenders

LAYER_NORM: Final = "layer-norm"
"""Layer norm (without weights) over all axes, before cutting: what Nomic Embed v1.5 asks for."""


@record
class Family:
    """A family is what is known of models in whose name, in lower case, the regular expression `pattern` is found.

    `trained` are the prefixes that its models were trained for, `full` size left out; `any_from`: any prefix from that size on
    was trained, and `trained` names the published ones. Prompts are those a model's own configuration may leave out; None: not
    known. `not_prefixes` is the reason why cutting these models means nothing.
    """

    name: str
    pattern: str
    full: int | None = None
    trained: tuple[int, ...] = ()
    query_prompt: str | None = None
    document_prompt: str | None = None
    any_from: int | None = None
    transform: str | None = None
    not_prefixes: str = ""


_SEPARATE_HEADS: Final = "its smaller sizes come from separate output heads, they are not prefixes of the full vector"

FAMILIES: Final[tuple[Family, ...]] = (
    # name, pattern, full size, trained prefixes, prompt before a query and before a document
    Family("OpenAI text-embedding-3-small", r"text-embedding-3-small", 1536, (512,), "", "", 32),
    Family("OpenAI text-embedding-3-large", r"text-embedding-3-large", 3072, (1024, 256), "", "", 32),
    Family(
        "Nomic Embed v1.5",
        r"nomic-embed-(text|vision)-v1\.5",
        768,
        (512, 256, 128, 64),
        "search_query: ",
        "search_document: ",
        transform=LAYER_NORM,
    ),
    Family("Nomic Embed v2 MoE", r"nomic-embed-text-v2-moe", 768, (256,), "search_query: ", "search_document: "),
    Family("Voyage 4 and its siblings", r"voyage-(4|3-large|3\.5|code-3)", 2048, (1024, 512, 256)),
    Family("Cohere Embed v4", r"embed-v4", 1536, (1024, 512, 256)),
    Family("Gemini Embedding 001", r"gemini-embedding-001", 3072, (1536, 768), any_from=128),
    Family("Snowflake Arctic Embed M v1.5", r"snowflake-arctic-embed-m-v1\.5", 768, (256,), document_prompt=""),
    Family("Jina Embeddings v3", r"jina-embeddings-v3", 1024, (768, 512, 256, 128, 64, 32)),
    Family("Qwen3 Embedding 0.6B", r"qwen3-embedding-0\.6b", 1024, document_prompt="", any_from=32),
    Family("Qwen3 Embedding 4B", r"qwen3-embedding-4b", 2560, document_prompt="", any_from=32),
    Family("Qwen3 Embedding 8B", r"qwen3-embedding-8b", 4096, document_prompt="", any_from=32),
    Family("EmbeddingGemma", r"embeddinggemma", 768, (512, 256, 128), "task: search result | query: ", "title: none | text: "),
    Family("mxbai-embed-large-v1", r"mxbai-embed-large-v1", 1024, (768, 512, 256, 128), None, ""),
    Family("Amazon Titan Text Embeddings v2", r"titan-embed-text-v2", 1024, (512, 256), "", ""),
    # a weak Matryoshka: at 64 better than random axes on CISI, not told from them on SciFact
    Family("WordLlama l2_supercat", r"^wordllama$|l2_supercat", 256, (128, 64), "", ""),
    Family("stella v5", r"stella_.*_v5", not_prefixes=_SEPARATE_HEADS),
)


def family_of(*names: str) -> Family | None:
    """Finds the family that one of these names (of a model, a folder, a base model) belongs to."""
    for name in names:
        for family in FAMILIES:
            if re.search(family.pattern, name.lower()):
                return family
    return None


def refuse_non_prefix(family: Family | None, name: str) -> None:
    """Raises `InputError` for a model whose sizes are not prefixes: a sweep would measure something nobody ships."""
    if family is not None and family.not_prefixes:
        raise InputError(
            f"{name} cannot be cut: {family.not_prefixes}",
            "choose a model trained with Matryoshka prefixes, or compare its heads as models of their own",
        )


def trained_dims(family: Family | None, full: int, folder: Path | None = None) -> tuple[int, ...]:
    """Returns the sizes below `full` that the model was trained to be cut at, descending; empty where nothing is known.

    Looks in the family table, then for `matryoshka_dimensions` in config.json, then for the MatryoshkaLoss block that
    sentence-transformers writes into a model card. "Any size" stands for the published sizes and the halvings.
    """
    if family is not None and family.any_from is not None:
        sizes = {*family.trained, *halvings(full, max(32, family.any_from))}
    elif family is not None and family.trained:
        sizes = set(family.trained)
    else:
        sizes = set(_own_dims(folder)) if folder is not None else set()
    return tuple(sorted((dim for dim in sizes if 0 < dim < full), reverse=True))


def halvings(full: int, least: int = 32) -> list[int]:
    """Halves the full size again and again, down to `least`; full size itself is left out."""
    sizes = []
    while (full := full // 2) >= least:
        sizes.append(full)
    return sizes


def says_matryoshka(folder: Path | None) -> bool:
    """Tells whether the model's own config.json calls it a Matryoshka model, with sizes or without."""
    config = read_json(folder / "config.json") if folder else {}
    return bool(config.get("is_matryoshka") or config.get("matryoshka_dimensions"))


def read_json(path: Path) -> dict[str, Any]:
    """Reads a model's JSON file as a dict; empty where there is no file or it holds no JSON object."""
    document = json_in(path)
    return document if isinstance(document, dict) else {}


def json_in(path: Path) -> Any:
    """Reads the content of a model's JSON file; None where there is no file, or no JSON in it."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _own_dims(folder: Path) -> list[int]:
    declared = read_json(folder / "config.json").get("matryoshka_dimensions")
    if isinstance(declared, list):
        return [dim for dim in declared if isinstance(dim, int)]
    try:
        card = (folder / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    block = re.search(r'"matryoshka_dims"\s*:\s*\[([\d\s,]+)\]', card)
    return [int(dim) for dim in re.findall(r"\d+", block[1])] if block else []


_ROLE_PROMPTS: Final = {Role.QUERY: ("query",), Role.DOCUMENT: ("document", "passage", "corpus")}


@record
class Prompts:
    """Prompts are the texts put before each query and each document; `origin` says where they come from."""

    query: str
    document: str
    origin: str

    def of(self, role: Role) -> str:
        return self.query if role is Role.QUERY else self.document


def prompts_of(folder: Path | None, family: Family | None, options: ModelOptions) -> Prompts:
    """Chooses the prompts: given ones (as text, or by name of one of the model's), else the model's, its family's, or none.

    Chooses as sentence-transformers' `encode_query` and `encode_document` do: a default prompt is applied to neither.
    """
    saved = saved_settings(folder).get("prompts")
    configured = saved if isinstance(saved, Mapping) else {}
    origins = []
    texts = {}
    for role, given in ((Role.QUERY, options.query_prompt), (Role.DOCUMENT, options.document_prompt)):
        own = next((configured[name] for name in _ROLE_PROMPTS[role] if configured.get(name) is not None), None)
        of_family = getattr(family, f"{role}_prompt") if family else None
        choices = (("given", given if given is None else configured.get(given, given)), ("model", own), ("family", of_family))
        origin, text = next(((origin, text) for origin, text in choices if text is not None), ("none", ""))
        texts[role] = str(text)
        origins.append(origin)
    origin = origins[0] if origins[0] == origins[1] else f"query: {origins[0]}, document: {origins[1]}"
    return Prompts(texts[Role.QUERY], texts[Role.DOCUMENT], origin)


def saved_settings(folder: Path | None) -> dict[str, Any]:
    """Reads config_sentence_transformers.json; empty where the model has none."""
    return read_json(folder / "config_sentence_transformers.json") if folder else {}


def candidate_dims(dims: str | tuple[int, ...], full: int, trained: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Returns the sizes to measure, ascending, full size among them; `dims` is what `settings.parsing.parse_dims` returns.

    `auto` is the model's trained sizes, else halvings down to 32; `every:8` is each multiple of 8. Raises `InputError` for a
    size above the model's.
    """
    if dims == "auto":
        return (*sorted({dim for dim in trained if 0 < dim < full} or halvings(full)), full)
    if isinstance(dims, str):
        step = int(dims.removeprefix("every:"))
        return tuple(sorted({*range(step, full + 1, step), full}))
    too_large = sorted({dim for dim in dims if dim > full})
    if too_large:
        raise InputError(
            f"the model has {full} dimensions, {first_offenders([str(dim) for dim in too_large])} asked for",
            f"--dims up to {full}",
        )
    return tuple(sorted({*dims, full}))


def transformed(transform: str | None, rows: Float32Array) -> Float32Array:
    """Transforms (n, dim) rows as the family asks before they are cut; returns `rows` themselves where it asks for nothing."""
    return layer_norm(rows) if transform == LAYER_NORM else rows


def layer_norm(rows: Float32Array) -> Float32Array:
    """Divides each row less its mean by the root of its variance (biased, plus 1e-5), as torch's layer_norm without weights."""
    centred = rows - rows.mean(axis=1, keepdims=True, dtype=np.float64)
    variance = np.square(centred).mean(axis=1, keepdims=True)
    return np.asarray(centred / np.sqrt(variance + 1e-5), dtype=np.float32)
