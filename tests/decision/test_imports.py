"""What the room costs to import: `gate` and `report` on an earlier run have half a second."""

from __future__ import annotations

import subprocess
import sys


def test_deciding_needs_numpy_and_nothing_else() -> None:
    modules = ("policy", "walk", "slices", "compare")
    program = f"""
import sys
import numpy as np
{"; ".join(f"import mrl_sweep.decision.{m}" for m in modules)}
from mrl_sweep.types import Configuration as C, Measure, Scores
scores = Scores((C("prefix", 2), C("prefix", 1)), (Measure("R", 1),), np.ones((2, 1, 50)), np.ones((1, 50), bool))
mrl_sweep.decision.walk.decide(mrl_sweep.decision.walk.Question(scores, mrl_sweep.decision.policy.Policy()))
print(sorted({{m.partition(".")[0] for m in sys.modules}} & {{"scipy", "numba", "pandas", "faiss", "torch", "pyarrow"}}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
