"""Units of evidence: queries, or clusters of queries that have one origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mrl_sweep.errors import InputError
from mrl_sweep.types import FloatArray, IntArray, distinct
from mrl_sweep.words import did_you_mean, first_offenders


def cluster_means(values: FloatArray, clusters: IntArray) -> FloatArray:
    """Returns (…, n_units) the mean of each cluster's queries, from values (…, n_queries) and labels (n_queries,).

    Ten paraphrases of one question are one question: they count once, with their mean, in every mean, bound and count. A
    label of -1 marks a query that belongs to no cluster and stays a unit of its own. Units come in order of label, then the
    single queries in theirs.
    """
    unit = unit_of(clusters)
    n_units = int(unit.max()) + 1 if len(unit) else 0
    sizes = np.bincount(unit, minlength=n_units)
    flat = values.reshape(-1, values.shape[-1])
    sums = np.array([np.bincount(unit, weights=row, minlength=n_units) for row in flat]).reshape(len(flat), n_units)
    return np.asarray(sums / sizes).reshape(*values.shape[:-1], n_units)


def unit_of(clusters: IntArray) -> IntArray:
    """Returns (n_queries,) the unit, 0 … n_units - 1, that each query belongs to."""
    alone = clusters < 0
    labels = distinct(clusters[~alone])
    unit = np.searchsorted(labels, clusters)
    unit[alone] = len(labels) + np.arange(int(alone.sum()))
    return unit.astype(np.int64)


def count_units(clusters: IntArray) -> int:
    """Counts the units that these labels make."""
    return len(distinct(clusters[clusters >= 0])) + int((clusters < 0).sum())


def check_fields(metadata: Sequence[Mapping[str, Any]], fields: Sequence[str], option: str) -> None:
    """Raises `InputError` for fields that no query has, with the nearest that some query has; `option` is the hint's flag."""
    names = {str(key) for entry in metadata for key, value in entry.items() if value is not None}
    absent = [field for field in dict.fromkeys(fields) if field not in names]
    if not absent:
        return
    near = did_you_mean(absent[0], names, spelt=lambda name: f"{option} {name}")
    has = f"the fields are {first_offenders(sorted(names), limit=10)}"
    hint = f"{near} {has}" if near else f"{has}; name one of them with {option}"
    hint = hint if names else f"the queries have no metadata: leave {option} out, or give each query such a field"
    raise InputError(f"no query has the field {first_offenders(absent)}", hint)


def cluster_labels(metadata: Sequence[Mapping[str, Any]], field: str) -> IntArray:
    """Returns (n_queries,) labels for `cluster_means`: one for each value of `field`, -1 for queries without it.

    Raises `InputError` where no query has the field.
    """
    check_fields(metadata, [field], "--cluster")
    values = [entry.get(field) for entry in metadata]
    texts = [None if value is None else str(value) for value in values]
    numbers = {text: number for number, text in enumerate(sorted({text for text in texts if text is not None}))}
    return np.array([-1 if text is None else numbers[text] for text in texts], np.int64)
