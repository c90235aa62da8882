"""Parts: written as they are typed, near equal, and added up only where they were counted of the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_vectors import prefix_pass

from mrl_sweep.errors import InputError
from mrl_sweep.execution.parts import Part, PartsExecutor, finished_parts, missing_parts, read_counts, read_facts, write_part
from mrl_sweep.ranking.counting import count_pass, pass_key
from mrl_sweep.ranking.exact import ONE_WORKER, RankOptions, rank
from mrl_sweep.ranking.kernel import MachineKernel
from mrl_sweep.ranking.task import Partial, join_spans
from mrl_sweep.types import Qrels, Vectors

DIMS = (4, 16)


def made(seed: int = 0, n: int = 500) -> tuple[Vectors, Any, Qrels, Any]:
    rng = np.random.default_rng(seed)
    docs, queries = rng.integers(-1, 2, (n, 16)).astype(np.float32), rng.standard_normal((6, 16)).astype(np.float32)
    return Vectors((docs,)), queries, Qrels(np.arange(0, 31, 5), rng.integers(0, n, 30), np.ones(30, np.int64)), DIMS


def leave(folder: Path, text: str, inputs: Any) -> None:
    part, task = Part.parse(text), prefix_pass(*inputs).task
    rows = (part.rows(len(inputs[0])),)
    tally = count_pass(task.of(rows), ONE_WORKER, MachineKernel(), 64)
    write_part(folder, part, {"of": text}, {pass_key(task): Partial(rows, tally)})


def test_a_part_prints_as_it_is_typed() -> None:
    assert str(Part.parse(" 2/3 ")) == "2/3"
    for text in ("0/3", "4/3", "2", "a/b", "-1/3", "1/0", "2/3/4", "1.5/3", ""):
        with pytest.raises(InputError, match="no part"):
            Part.parse(text)


@pytest.mark.parametrize(("n", "of"), [(10, 3), (2, 5), (1000, 7), (1, 1)])
def test_the_parts_of_a_set_hold_every_document_once_in_near_equal_shares(n: int, of: int) -> None:
    spans = [part.rows(n) for part in Part.all_of(of)]
    assert join_spans(spans) == ((0, n),)
    sizes = [stop - start for start, stop in spans]
    assert max(sizes) - min(sizes) <= 1


def test_the_parts_in_any_order_give_the_ranks_of_one_run(tmp_path: Path) -> None:
    inputs = made()
    for text in ("2/3", "3/3", "1/3"):
        leave(tmp_path, text, inputs)
    got, alone = rank(*inputs, RankOptions(executor=PartsExecutor(tmp_path))), rank(*inputs)
    np.testing.assert_array_equal(got.above, alone.above)
    np.testing.assert_array_equal(got.tied, alone.tied)
    np.testing.assert_array_equal(got.top.rows, alone.top.rows)


def test_a_part_that_is_run_twice_is_counted_once(tmp_path: Path) -> None:
    inputs = made()
    for text in ("1/2", "2/2", "1/2", "1/2"):
        leave(tmp_path, text, inputs)
    np.testing.assert_array_equal(rank(*inputs, RankOptions(executor=PartsExecutor(tmp_path))).above, rank(*inputs).above)


def test_parts_that_are_missing_are_named(tmp_path: Path) -> None:
    inputs = made()
    with pytest.raises(InputError, match="no finished part"):
        missing_parts(tmp_path)
    leave(tmp_path, "2/4", inputs)
    assert [str(part) for part in missing_parts(tmp_path)] == ["1/4", "3/4", "4/4"]
    with pytest.raises(InputError, match=r"parts are missing in .*: 1/4, 3/4, 4/4"):
        rank(*inputs, RankOptions(executor=PartsExecutor(tmp_path)))


def test_parts_of_sets_of_different_sizes_are_refused(tmp_path: Path) -> None:
    leave(tmp_path, "1/2", made())
    leave(tmp_path, "1/3", made())
    with pytest.raises(InputError, match="holds parts of 2 and of 3"):
        finished_parts(tmp_path)


def test_a_part_of_other_data_is_refused(tmp_path: Path) -> None:
    leave(tmp_path, "1/2", made())
    leave(tmp_path, "2/2", made(seed=1))
    with pytest.raises(InputError, match=r"part 2/2 in .* was counted of other data"):
        rank(*made(), RankOptions(executor=PartsExecutor(tmp_path)))


@pytest.mark.parametrize("damage", ["cut", "rubbish", "empty"])
def test_a_damaged_part_is_named_with_what_to_do(tmp_path: Path, damage: str) -> None:
    leave(tmp_path, "1/1", made())
    file = Part.parse("1/1").file(tmp_path)
    content = {"cut": file.read_bytes()[:-300], "rubbish": b"rubbish", "empty": b""}[damage]
    file.write_bytes(content)
    for read in (lambda: read_facts(tmp_path, Part.parse("1/1")), lambda: read_counts(tmp_path, Part.parse("1/1"), "key")):
        with pytest.raises(InputError, match=r"cannot read .*1-of-1\.npz") as caught:
            read()
        assert caught.value.hint == "remove it and run that part again"
