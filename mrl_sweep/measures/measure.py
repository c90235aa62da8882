"""Parses names of measures in ir_measures', trec_eval's or everyday spelling. Imports no numpy: every start parses options."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from mrl_sweep.errors import InputError
from mrl_sweep.types import AGREEMENT, Measure
from mrl_sweep.words import nearest, printable

NEEDS_CUTOFF: Final = frozenset({"P", "R", "Success", AGREEMENT})
NO_LEVEL: Final = {"nDCG": "uses the grades themselves", AGREEMENT: "knows no grades"}
"""Measures for which no lowest relevant grade can be chosen, and why."""

_SPELLINGS: Final = {
    "nDCG": ("ndcg", "ndcg_cut"),
    "R": ("r", "recall"),
    "RR": ("rr", "mrr", "recip_rank", "reciprocal_rank"),
    "AP": ("ap", "map", "map_cut", "average_precision"),
    "P": ("p", "precision"),
    "Success": ("success", "hit", "hits", "hit_rate", "hitrate"),
    AGREEMENT: ("agreement", "overlap"),
}
_NAMES: Final = {spelling: name for name, spellings in _SPELLINGS.items() for spelling in spellings}
_FORM: Final = re.compile(r"(?P<name>[a-z][a-z_]*?)(?:\(rel=(?P<rel>\d+)\))?(?:[@_](?P<cutoff>\d+))?", re.ASCII | re.IGNORECASE)
_MOST_DIGITS: Final = 18
_HINT: Final = (
    "--measure takes nDCG@10, R@100, RR@10, AP@100, P@5, Success@1; recall@10, mrr@10, map@100 or ndcg_cut_10 mean the same, "
    "R(rel=2)@10 asks for grades of 2 and above; with --label-free Agreement@10"
)

WHOLE_RANKING: Final = 100
"""The depth of a measure without a cut-off where a shortlist must be cut somewhere."""


def parse_measure(text: str) -> Measure:
    """Reads the measure that `text` names, whatever its case: `nDCG@10`, `recall_100`, `mrr@10`, `R(rel=2)@10`, `Agreement@10`.

    `str()` of the result is ir_measures' name, and parsing that gives the result again. Raises InputError, with the nearest
    known name, for anything else.
    """
    match = _FORM.fullmatch(text.strip())
    name = _NAMES.get(match["name"].lower()) if match else None
    if match is None or name is None:
        raise InputError(f"unknown measure {text!r}{_suggestion(text)}", _HINT)
    if any(len(number or "") > _MOST_DIGITS for number in (match["cutoff"], match["rel"])):
        raise InputError(f"measure {printable(text, 60)}: no ranking is that deep and no grade that high", _HINT)
    cutoff = int(match["cutoff"]) if match["cutoff"] else None
    if cutoff is None and name in NEEDS_CUTOFF:
        raise InputError(f"measure {text!r} needs a cut-off: write {name}@10", _HINT)
    if cutoff == 0:
        raise InputError(f"measure {text!r}: the cut-off must be at least 1", _HINT)
    if match["rel"] and name in NO_LEVEL:
        raise InputError(f"measure {text!r}: {name} {NO_LEVEL[name]} and has no (rel=...)", _HINT)
    rel = int(match["rel"] or 1)
    if rel < 1:
        raise InputError(f"measure {text!r}: rel must be at least 1, since a grade of 0 means not relevant", _HINT)
    return Measure(name, cutoff, rel)


def refuse_mixture(measures: Iterable[Measure], *, label_free: bool) -> None:
    """Raises InputError where agreement with full size would be mixed with quality by judgments: they answer different questions.

    `label_free` says whether the judgments are missing: without them only agreement is known, with them only quality counts.
    """
    strange = ", ".join(dict.fromkeys(str(measure) for measure in measures if measure.label_free != label_free))
    if strange and label_free:
        raise InputError(
            f"{strange} needs judgments, and a label-free run has none",
            "--measure Agreement@10 is what comes back of the full size's top 10; with judgments leave --label-free out",
        )
    if strange:
        raise InputError(
            f"{strange} is agreement with the full size, which is never mixed with judged quality",
            "run with --label-free to measure agreement instead; beside judged measures the column `same top 10` tells it",
        )


def _suggestion(text: str) -> str:
    """`: did you mean nDCG@10?` where something near is known, with the cut-off that was asked for."""
    typed = re.match(r"[^\W\d]+", text.strip().lower())
    near = nearest(typed[0].rstrip("_"), _NAMES) if typed else []
    if not near:
        return ""
    cutoff = re.search(rf"(?<!\d)[1-9]\d{{0,{_MOST_DIGITS - 1}}}$", text.strip())
    return f": did you mean {Measure(_NAMES[near[0]], int(cutoff[0]) if cutoff else 10)}?"


def asked_documents(measures: Iterable[Measure]) -> int:
    """Returns the deepest cut-off of these measures (`WHOLE_RANKING` for one without): a shortlist is a multiple of it."""
    return max(measure.cutoff or WHOLE_RANKING for measure in measures)
