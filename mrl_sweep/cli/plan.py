"""`mrl-sweep plan`: what a finished run's sizes would take at a planned corpus, and what that would cost."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import typer

from mrl_sweep.cli.invocation import invocation_of
from mrl_sweep.cli.options import PLAN, takes
from mrl_sweep.cli.output import check_file, prepare_output
from mrl_sweep.cli.report import RunFolder, files_of
from mrl_sweep.errors import naming

_PARQUET = ".parquet"


@takes(*PLAN)
def plan(context: typer.Context, run: RunFolder, **flags: Any) -> None:
    """Capacity: storage, memory, latency and cost at --docs, with the quality to expect there."""
    invocation = invocation_of(context, flags)
    settings = invocation.configure(None, flags)
    from mrl_sweep.report.articles.plan import plan_article, write_parquet
    from mrl_sweep.report.files.folder import read_runs
    from mrl_sweep.report.render import ARTICLE_FORMATS
    from mrl_sweep.runs.plan import plan_run
    from mrl_sweep.runs.reopen import reopen

    several = read_runs(run)
    inputs = [file for one in several.values() or [run] for file in files_of(one)]
    output = prepare_output(invocation, settings.run.output, inputs, ARTICLE_FORMATS)
    plans = {}
    for name, folder in (several or {"": run}).items():
        with naming(name) if several else nullcontext():
            plans[name] = plan_run(reopen(folder, settings), settings)
    file = check_file(invocation, settings.run.output, inputs)
    if file is not None and file.suffix == _PARQUET:
        return write_parquet(file, plans)
    return output.show(plan_article(plans))
