"""Measures as the field writes them: text in ir_measures', trec_eval's or everyday spelling becomes a `Measure`."""

from __future__ import annotations

import difflib
import re
from typing import Final

from mrl_sweep.errors import InputError
from mrl_sweep.types import Measure

NEEDS_CUTOFF: Final = frozenset({"P", "R", "Success"})
GRADED: Final = frozenset({"nDCG"})

_SPELLINGS: Final = {
    "nDCG": ("ndcg", "ndcg_cut"),
    "R": ("r", "recall"),
    "RR": ("rr", "mrr", "recip_rank", "reciprocal_rank"),
    "AP": ("ap", "map", "map_cut", "average_precision"),
    "P": ("p", "precision"),
    "Success": ("success", "hit", "hits", "hit_rate", "hitrate"),
}
_NAMES: Final = {spelling: name for name, spellings in _SPELLINGS.items() for spelling in spellings}
_FORM: Final = re.compile(r"(?P<name>[a-z][a-z_]*?)(?:\(rel=(?P<rel>\d+)\))?(?:[@_](?P<cutoff>\d+))?", re.ASCII | re.IGNORECASE)
_HINT: Final = (
    "--measure takes nDCG@10, R@100, RR@10, AP@100, P@5, Success@1; recall@10, mrr@10, map@100 or ndcg_cut_10 mean the same, "
    "R(rel=2)@10 asks for grades of 2 and above"
)


def parse_measure(text: str) -> Measure:
    """The Measure that `text` names, whatever its case: `nDCG@10`, `recall_100`, `mrr@10`, `R(rel=2)@10`.

    `str()` of the result is ir_measures' name, and parsing that gives the result again. Raises InputError, with the nearest
    known name, for anything else.
    """
    match = _FORM.fullmatch(text.strip())
    name = _NAMES.get(match["name"].lower()) if match else None
    if match is None or name is None:
        raise InputError(f"unknown measure {text!r}{_suggestion(text)}", _HINT)
    cutoff = int(match["cutoff"]) if match["cutoff"] else None
    if cutoff is None and name in NEEDS_CUTOFF:
        raise InputError(f"measure {text!r} needs a cut-off: write {name}@10", _HINT)
    if cutoff == 0:
        raise InputError(f"measure {text!r}: the cut-off must be at least 1", _HINT)
    if match["rel"] and name in GRADED:
        raise InputError(f"measure {text!r}: {name} uses the grades themselves and has no (rel=...)", _HINT)
    rel = int(match["rel"] or 1)
    if rel < 1:
        raise InputError(f"measure {text!r}: rel must be at least 1, since a grade of 0 means not relevant", _HINT)
    return Measure(name, cutoff, rel)


def _suggestion(text: str) -> str:
    """`: did you mean nDCG@10?` where something near is known, with the cut-off that was asked for."""
    typed = re.match(r"[^\W\d]+", text.strip().lower())
    near = difflib.get_close_matches(typed[0].rstrip("_"), _NAMES, n=1) if typed else []
    if not near:
        return ""
    cutoff = re.search(r"[1-9]\d*$", text.strip())
    return f": did you mean {Measure(_NAMES[near[0]], int(cutoff[0]) if cutoff else 10)}?"
