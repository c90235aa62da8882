"""Many judgments a query, drawn at random and so deep: what the pass takes for 10, 200 and 2,000 of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np

from benchmarks.harness import Bar, Table, main, medians, seconds
from benchmarks.sweep import DIM, DOCS, SWEEPS, check, product, sweep
from benchmarks.synthetic import Workload, documents, single
from mrl_sweep.execution.threads import available_threads
from mrl_sweep.types import Qrels

QUERIES: Final = 500
JUDGED: Final = (10, 200, 2000)
ALLOWED: Final = {200: 1.5, 2000: 3.0}
"""Times what ten judgments a query cost."""


def judged_at_random(work: Workload, n_judged: int, generator: np.random.Generator) -> Workload:
    """The same documents and queries, so many documents judged for each: its own near one and others from anywhere."""
    near = work.qrels.rows
    others = [generator.choice(len(work.docs), n_judged, replace=False) for _ in near]
    rows = np.concatenate([np.unique([row, *some[some != row][: n_judged - 1]]) for row, some in zip(near, others, strict=True)])
    return Workload(work.docs, work.queries, Qrels(np.arange(len(near) + 1) * n_judged, rows, np.ones(len(rows), np.int64)))


def run() -> Table:
    generator = np.random.default_rng(0)
    base = single(documents(DOCS, DIM, generator), QUERIES, generator)
    loads = {n: judged_at_random(base, n, generator) for n in JUDGED}
    dims = SWEEPS[5]
    for load in loads.values():
        check(load, dims, sweep(load, dims, depth=10), n_checked=3)
    contenders: dict[str, Callable[[], object]] = {str(n): partial(sweep, load, dims, depth=10) for n, load in loads.items()}
    took = medians({"product": partial(product, base), **contenders}, rounds=3)
    return table(took)


def table(took: dict[str, float]) -> Table:
    few, limit = took[str(JUDGED[0])], took["product"]
    rows = [("one sgemm at full size", seconds(limit), "1.00", "")]
    rows += [
        (f"{n:,} judged a query", seconds(took[str(n)]), f"{took[str(n)] / limit:.2f}", f"{took[str(n)] / few:.2f}")
        for n in JUDGED
    ]
    bars = []
    for n, allowed in ALLOWED.items():
        ratio = took[str(n)] / few
        bars.append(Bar(f"{n:,} judgments a query against ten", f"at most {allowed:g}x", f"{ratio:.2f}x", ratio <= allowed))
    note = (
        f"{DOCS:,} x {DIM} documents, {QUERIES} queries, sizes {', '.join(map(str, SWEEPS[5]))}, the first 10 documents kept, "
        f"{available_threads()} threads. One judged document is the query's own, the others are drawn from the whole corpus. "
        "With 2,000 of them so many scores lie within the product's error of a threshold that it is added up in float64, sixteen "
        "columns at a time. Where the time goes, sampled on one thread of an AMD EPYC: of the time that 200 judgments take, the "
        "product is two fifths, float64 judging of the scores that lie near a threshold a fifth, buckets a fifth. "
        "Of 2,000, the judge is a quarter, waiting for the rows of thresholds a seventh, the product a fifth, buckets a "
        "fifth. Ranks of 3 queries at three sizes equal a float64 count over all documents."
    )
    return Table(
        "judgments: many a query", note, ("what", "time", "of the product", "of ten judgments"), tuple(rows), tuple(bars)
    )


if __name__ == "__main__":
    main(run)
