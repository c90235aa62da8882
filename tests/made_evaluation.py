"""An evaluation and an answer made by hand, without the ranks that they would follow from."""

from __future__ import annotations

from typing import Any

import numpy as np

from mrl_sweep.decision.judging import Question
from mrl_sweep.decision.policy import Policy
from mrl_sweep.decision.walk import decide
from mrl_sweep.deploying.findings import Evaluation
from mrl_sweep.report.document_rows import VerdictRow
from mrl_sweep.types import Qrels, Ranks, Scores


def evaluated(scores: Scores, policy: Policy) -> Evaluation:
    none = np.empty(0, np.int64)
    nothing = np.empty((len(scores.candidates), 0), np.int64)
    return Evaluation(
        ranks=Ranks(scores.candidates, 10, nothing, nothing),
        qrels=Qrels(np.zeros(scores.values.shape[2] + 1, np.int64), none, none),
        scores=scores,
        policy=policy,
        verdict=decide(Question(scores, policy)),
    )


def verdict_row(**changes: Any) -> VerdictRow:
    """An answer, 256 of 768 dimensions, with these fields changed."""
    sketch: dict[str, Any] = {
        "dimension": 256,
        "proven": 256,
        "measured": 256,
        "measure": "nDCG@10",
        "retain": 0.98,
        "alpha": 0.05,
        "decide_by": "bound",
        "kept": 0.9903,
        "at_least": 0.9821,
        "queries": 648,
        "sentence": "Use 256 dimensions.",
    }
    return VerdictRow(**sketch | changes)
