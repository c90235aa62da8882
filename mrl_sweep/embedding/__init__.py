"""Embedding: a collection's texts to full-size vectors, once, kept in a store. `open_embedder` picks the provider."""

from mrl_sweep.embedding.embed import embed, known_facts
from mrl_sweep.embedding.families import candidate_dims
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
