"""The data that passes between the rooms: frozen dataclasses over numpy arrays, rows instead of ids."""

from __future__ import annotations

from mrl_sweep.types.collection import Collection, Documents, FileRows, MissingDocs, NoRelevant, Qrels, Queries
from mrl_sweep.types.common import ADVICE_CODES, SEED, Advice, BoolArray, Float32Array, FloatArray, Format, IntArray, distinct
from mrl_sweep.types.configuration import EXACT, FLAT, FLOAT32, Basis, Configuration, exact_prefixes, full_size
from mrl_sweep.types.embeddings import Embeddings, ModelFacts, Similarity, Vectors
from mrl_sweep.types.results import (
    AGREEMENT,
    NOT_RETRIEVED,
    Evidence,
    Judgement,
    Measure,
    Outcome,
    RandomControl,
    Ranks,
    Scores,
    SearchCost,
    Status,
    TopDocuments,
    Verdict,
)

__all__ = [
    "ADVICE_CODES",
    "AGREEMENT",
    "EXACT",
    "FLAT",
    "FLOAT32",
    "NOT_RETRIEVED",
    "SEED",
    "Advice",
    "Basis",
    "BoolArray",
    "Collection",
    "Configuration",
    "Documents",
    "Embeddings",
    "Evidence",
    "FileRows",
    "Float32Array",
    "FloatArray",
    "Format",
    "IntArray",
    "Judgement",
    "Measure",
    "MissingDocs",
    "ModelFacts",
    "NoRelevant",
    "Outcome",
    "Qrels",
    "Queries",
    "RandomControl",
    "Ranks",
    "Scores",
    "SearchCost",
    "Similarity",
    "Status",
    "TopDocuments",
    "Vectors",
    "Verdict",
    "distinct",
    "exact_prefixes",
    "full_size",
]
