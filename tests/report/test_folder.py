"""The run folder: everything comes back, whole runs only, and a message that helps for anything else."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_evaluation import verdict_row

from mrl_sweep.errors import EnvironmentFault, InputError
from mrl_sweep.files import prepare_folder, write_text
from mrl_sweep.report import folder as folder_module
from mrl_sweep.report.document import QueryScores, Report
from mrl_sweep.report.folder import RunData, mentioned_rows, read_report, read_run, write_run
from mrl_sweep.types import NOT_RETRIEVED, Configuration, Measure, Qrels, Ranks, Scores, TopDocuments

CANDIDATES = (Configuration("prefix", 4), Configuration("prefix", 2, "IVF4,Flat"))
QRELS = Qrels(offsets=np.array([0, 2, 2, 3]), rows=np.array([5, -1, 0]), grades=np.array([2, 1, 0]))
RANKS = Ranks(
    candidates=CANDIDATES,
    n_documents=6,
    above=np.array([[0, NOT_RETRIEVED, 3], [1, NOT_RETRIEVED, NOT_RETRIEVED]]),
    tied=np.array([[0, 0, 1], [2, 0, 0]]),
    top=TopDocuments(
        rows=np.array([[[5, 1], [2, 0], [3, -1]], [[1, 5], [2, 0], [3, 4]]]),
        scores=np.array([[[0.5, 0.25], [1, 0.1], [0.3, -np.inf]]] * 2, np.float32),
    ),
)
HOSTILE = ("a\nb", "q\x00", "\ud800 ]]>|")
DATA = RunData(
    ranks=RANKS,
    qrels=QRELS,
    query_ids=HOSTILE,
    query_metadata=({"label": "x"}, {}, {"n": 3, "list": ["a"]}),
    query_texts=("one", "two", "three"),
    document_ids={row: f"d{row}\x00" for row in range(6)},
    document_titles={row: f"Title {row}" for row in range(6)},
)
SCORES = QueryScores(Scores(CANDIDATES, (Measure("R", 1),), np.ones((2, 1, 3)), np.ones((1, 3), bool)), HOSTILE)


def report(sentence: str = "Use 2 dimensions.") -> Report:
    verdict = verdict_row(dimension=2, proven=2, measured=2, measure="R@1", kept=1.0, at_least=0.99, queries=3, sentence=sentence)
    return Report(status="pass", verdict=verdict, candidates=())


def assert_same(read: RunData, written: RunData) -> None:
    assert read.ranks.candidates == written.ranks.candidates
    assert read.ranks.n_documents == written.ranks.n_documents
    for name in ("above", "tied"):
        found, wanted = getattr(read.ranks, name), getattr(written.ranks, name)
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, wanted)
    assert read.ranks.top is not None
    assert written.ranks.top is not None
    np.testing.assert_array_equal(read.ranks.top.rows, written.ranks.top.rows)
    np.testing.assert_array_equal(read.ranks.top.scores, written.ranks.top.scores)
    assert read.ranks.top.scores.dtype == np.float32
    for name in ("offsets", "rows", "grades"):
        np.testing.assert_array_equal(getattr(read.qrels, name), getattr(written.qrels, name))
    for name in ("query_ids", "query_metadata", "query_texts", "document_ids", "document_titles"):
        assert getattr(read, name) == getattr(written, name)


def test_a_run_comes_back_as_it_was_written(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "first"
    written = write_run(folder, replace(report(), scores=SCORES), DATA)
    assert written.folder == folder
    assert sorted(path.name for path in folder.iterdir()) == ["ranks.npz", "report.json", "scores.parquet"]
    for path in (folder, folder / "report.json"):
        assert read_report(path) == report()
        assert read_report(path).folder == folder
        assert_same(read_run(path), DATA)
    assert list(read_report(folder).to_frame()["value"]) == [1.0] * 6


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write_run(tmp_path / name, replace(report(), scores=SCORES), DATA)
    for file in ("ranks.npz", "report.json", "scores.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_ranks_beyond_int32_keep_their_width(tmp_path: Path) -> None:
    ranks = Ranks(CANDIDATES, 2**40, RANKS.above + 2**33, RANKS.tied, RANKS.top)
    data = RunData(ranks=ranks, qrels=QRELS, query_ids=HOSTILE)
    write_run(tmp_path, report(), data)
    np.testing.assert_array_equal(read_run(tmp_path).ranks.above, ranks.above)
    assert read_run(tmp_path).ranks.n_documents == 2**40


def test_ranks_without_top_documents_stay_without(tmp_path: Path) -> None:
    ranks = Ranks(CANDIDATES, 6, RANKS.above, RANKS.tied)
    write_run(tmp_path, report(), RunData(ranks=ranks, qrels=QRELS, query_ids=HOSTILE))
    assert read_run(tmp_path).ranks.top is None


def test_zero_prefixes_come_back(tmp_path: Path) -> None:
    ranks = Ranks(CANDIDATES, 6, RANKS.above, RANKS.tied, zero_prefixes=np.array([0, 3]))
    write_run(tmp_path, report(), RunData(ranks=ranks, qrels=QRELS, query_ids=HOSTILE))
    np.testing.assert_array_equal(read_run(tmp_path).ranks.zero_prefixes, [0, 3])


def test_a_second_run_replaces_the_first(tmp_path: Path) -> None:
    write_run(tmp_path, replace(report("first"), scores=SCORES), DATA)
    write_run(tmp_path, report("second"), DATA)
    assert read_report(tmp_path).verdict.sentence == "second"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ranks.npz", "report.json"]  # not the first run's scores


def test_a_full_disk_leaves_the_earlier_run_whole_and_no_drafts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path, replace(report("first"), scores=SCORES), DATA)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder_module, "write_scores", full)
    with pytest.raises(EnvironmentFault, match="no space left in"):
        write_run(tmp_path, replace(report("second"), scores=SCORES), DATA)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_run_cut_off_while_moving_in_does_not_look_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path, replace(report("first"), scores=SCORES), DATA)
    real = Path.replace

    def interrupted(self: Path, target: Path) -> Path:
        if self.name == "scores.parquet":
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_run(tmp_path, replace(report("second"), scores=SCORES), DATA)
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())
    with pytest.raises(InputError, match="the run in it did not finish"):
        read_report(tmp_path)


def test_parts_that_do_not_fit_together_are_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="queries have the shape"):
        write_run(tmp_path, report(), RunData(ranks=RANKS, qrels=QRELS, query_ids=("only one",)))
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_run_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no report\.json: it is not a run folder"):
        read_report(tmp_path)
    with pytest.raises(InputError, match="there is no such file or folder"):
        read_run(tmp_path / "absent")
    write_run(tmp_path, report(), DATA)
    (tmp_path / "ranks.npz").unlink()
    with pytest.raises(InputError, match=r"has no ranks\.npz"):
        read_run(tmp_path)


@pytest.mark.parametrize("keep", [0, 10, 200, -30])
def test_truncated_ranks_are_refused(tmp_path: Path, keep: int) -> None:
    write_run(tmp_path, report(), DATA)
    whole = (tmp_path / "ranks.npz").read_bytes()
    (tmp_path / "ranks.npz").write_bytes(whole[:keep])
    with pytest.raises(InputError, match=r"cannot read .*ranks\.npz"):
        read_run(tmp_path)


def test_ranks_of_another_schema_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path, report(), DATA)
    np.savez(tmp_path / "ranks.npz", schema=np.array(7))
    with pytest.raises(InputError, match="schema is 7; this version reads 1"):
        read_run(tmp_path)


def test_pickles_in_ranks_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path, report(), DATA)
    np.savez(tmp_path / "ranks.npz", schema=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match="allow_pickle=False"):
        read_run(tmp_path)


def test_ranks_edited_by_hand_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path, report(), DATA)
    with np.load(tmp_path / "ranks.npz") as arrays:
        changed = dict(arrays) | {"above": arrays["above"][:, :2]}
    np.savez(tmp_path / "ranks.npz", **changed)
    with pytest.raises(InputError, match=r"above have the shape \(2, 2\), not \(2, 3\)"):
        read_run(tmp_path)


def test_only_judged_and_top_documents_are_mentioned() -> None:
    assert mentioned_rows(RANKS, QRELS) == [0, 1, 2, 3, 4, 5]
    assert mentioned_rows(Ranks(CANDIDATES, 6, RANKS.above, RANKS.tied), QRELS) == [0, 5]


def test_a_rendering_is_written_whole_whatever_it_holds(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "report.md", "é \ud800\n")
    assert (tmp_path / "new" / "report.md").read_bytes() == "é \\ud800\n".encode()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.md"]


def test_a_folder_that_cannot_be_written_is_told_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write to"):
        prepare_folder(tmp_path / "file" / "run")
    prepare_folder(tmp_path / "new" / "run")
    assert list((tmp_path / "new" / "run").iterdir()) == []
