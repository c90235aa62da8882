"""Embedding: a collection's texts to full-size vectors, once, kept in a store. `open_embedder` picks the provider."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mrl_sweep.embedding.embed_collection import embed, known_facts
    from mrl_sweep.embedding.model_families import candidate_dims
    from mrl_sweep.embedding.protocol import Batching, Embedder, Encoded, ModelOptions, Role, VectorSource
    from mrl_sweep.embedding.providers import open_embedder
    from mrl_sweep.store.store import Store
    from mrl_sweep.types import ModelFacts

__all__ = [
    "Batching",
    "Embedder",
    "Encoded",
    "ModelFacts",
    "ModelOptions",
    "Role",
    "Store",
    "VectorSource",
    "candidate_dims",
    "embed",
    "known_facts",
    "open_embedder",
]

_HOMES: Final = {
    "ModelFacts": "mrl_sweep.types",
    "Store": "mrl_sweep.store.store",
    "candidate_dims": "mrl_sweep.embedding.model_families",
    "embed": "mrl_sweep.embedding.embed_collection",
    "known_facts": "mrl_sweep.embedding.embed_collection",
    "open_embedder": "mrl_sweep.embedding.providers",
}


def __getattr__(name: str) -> Any:
    """The names above, imported when first asked for: a gate asks what a model's family is, and opens neither model nor store."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "mrl_sweep.embedding.protocol")), name)
