"""Embedding: a collection's texts to full-size vectors, once, kept in a store. Read in this order:

* `protocol`: what every provider offers; an `Embedder` encodes texts, a `VectorSource` has the vectors already.
* `providers`: `open_embedder` tells from a model's name which provider is meant, or what to type instead.
* `model_families`: what is known of models by their names: trained sizes, prompts, what to do before cutting.
* `local/`: sentence-transformers models of a folder or of the hub, and the table in WordLlama's wheel.
* `hosted/`: models behind an API, of vendors and of servers that speak as they do.
* `vectors/`: vectors that exist already, in files and in a database.
* `fill`: the texts that a store lacks are embedded in batches and put there, whatever stops it.
* `embed_collection`: documents and queries of a collection become `Embeddings`; `dry_run` says beforehand what that would cost.
"""

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
    """Imports the names above at their first use: a gate looks up a model's family, and opens neither model nor store."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "mrl_sweep.embedding.protocol")), name)
