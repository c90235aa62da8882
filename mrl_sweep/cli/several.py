"""How several collections are shown: each report, then the table of collections, the averages, and one closing sentence."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from mrl_sweep.cli import tables
from mrl_sweep.cli.console import colours, write_line
from mrl_sweep.cli.invocation import Invocation
from mrl_sweep.cli.output import append_summary, named_file, prepare_text

if TYPE_CHECKING:
    from mrl_sweep.runs.together import MacroRow, Several


def as_json(joint: Several) -> str:
    """One document."""
    return json.dumps(joint.to_dict(), indent=2, allow_nan=False) + "\n"


def prepare_several(invocation: Invocation, file: Path | None, inputs: list[Path]) -> Callable[[Several], None]:
    """What shows the result, once it is known that it can be written; with `-o` a person still reads the text on stderr."""
    write, file = prepare_text(invocation, file, inputs, tuple(RENDERERS)), named_file(file)

    def show(joint: Several) -> None:
        if invocation.format == "github":
            append_summary(as_markdown(joint))
        if file is not None or invocation.format != "text":
            write(RENDERERS[invocation.format](joint))
        if (file is not None or invocation.format == "text") and invocation.quiet < 2:
            stream = sys.stdout if file is None else sys.stderr
            write_line(closing(joint) if invocation.quiet else as_text(joint, stream), stream)

    return show


def as_text(joint: Several, stream: TextIO | None = None) -> str:
    """Every report as it is shown alone, then all of them together; fit for the stream where one is named."""
    from mrl_sweep.report.render import Format, render

    width = shutil.get_terminal_size((100, 24)).columns if stream else 100
    encoding = (stream.encoding if stream else None) or "utf-8"
    color = stream is not None and colours(stream)
    alone = [render(report, Format.TEXT, width=width, color=color, encoding=encoding) for report in joint.collections]
    each, average = _titles(joint)
    lines = [each, *tables.as_text(_collections(joint)), "", average, *tables.as_text(_sizes(joint)), "", closing(joint)]
    return "\n".join([*alone, tables.printable_lines(lines)])


def as_markdown(joint: Several) -> str:
    """The joint answer first, then each report."""
    from mrl_sweep.report.render import Format, render
    from mrl_sweep.report.render.escape import markdown

    each, average = _titles(joint)
    head = [f"**{markdown(closing(joint))}**", "", each, "", *tables.as_markdown(_collections(joint)), ""]
    head += [average, "", *tables.as_markdown(_sizes(joint)), ""]
    alone = [render(report, Format.MARKDOWN) for report in joint.collections]
    return "\n".join([f"### mrl-sweep: {len(alone)} collections", "", *head, *alone])


def as_github(joint: Several) -> str:
    """One annotation for all, one per failure and warning with its collection's name; then both tables as lines of the log."""
    from mrl_sweep.report.render.escape import github_line
    from mrl_sweep.report.render.github import command

    failed = joint.gate.exit_code != 0 if joint.gate else joint.status == "fail"
    status = joint.gate.status if joint.gate else joint.status
    level = "error" if failed else "notice" if status == "pass" else "warning"
    lines = [command(level, f"mrl-sweep: {status} in {len(joint.collections)} collections", closing(joint))]
    lines += [command(level, "mrl-sweep gate", failure) for failure in (joint.gate.failures if joint.gate else ())]
    for row, report in zip(joint.verdict.by_collection, joint.collections, strict=True):
        told = [(f"{row.name}: {one.message}", one.hint) for one in report.warnings]
        lines += [command("warning", "mrl-sweep", *filter(None, words)) for words in told]
    tabled = [*tables.as_text(_collections(joint)), *tables.as_text(_sizes(joint)), closing(joint)]
    return "\n".join([*lines, *map(github_line, tabled)]) + "\n"


def as_junit(joint: Several) -> str:
    """One `testsuites` document with a suite for each collection."""
    from xml.etree import ElementTree

    from mrl_sweep.report.render import Format, render
    from mrl_sweep.report.render.escape import xml

    root = ElementTree.Element("testsuites")
    for number, (row, report) in enumerate(zip(joint.verdict.by_collection, joint.collections, strict=True)):
        for suite in ElementTree.fromstring(render(report, Format.JUNIT).encode()):
            suite.set("id", str(number))
            suite.set("name", xml(f"mrl-sweep {row.name}"))
            root.append(suite)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


RENDERERS: Final[Mapping[str, Callable[[Several], str]]] = {
    "text": as_text,
    "json": as_json,
    "markdown": as_markdown,
    "github": as_github,
    "junit": as_junit,
}


def _titles(joint: Several) -> tuple[str, str]:
    n = len(joint.collections)
    return f"{n} collections, each by itself", f"Averages over the {n} collections, each counting the same"


def closing(joint: Several) -> str:
    """The gate's answer where there was a gate, and the sentence."""
    from mrl_sweep.report.render import escape

    gate = [joint.gate.sentence] if joint.gate else []
    return escape.plain(" ".join([*gate, joint.verdict.sentence]))


def _collections(joint: Several) -> list[list[str]]:
    from mrl_sweep import words

    verdict = joint.verdict
    rows = [
        [
            row.name,
            words.count(row.queries),
            words.score(row.full),
            str(row.dimension),
            words.percent(row.kept, limit=verdict.retain),
            words.percent(row.at_least, limit=verdict.retain),
            row.status,
        ]
        for row in verdict.by_collection
    ]
    return [["collection", "queries", f"full {verdict.measure}", "use", "kept", "at least", "verdict"], *rows]


def _sizes(joint: Several) -> list[list[str]]:
    """The averages over collections by size; the first column of kept shares is the average's, the second the worst's."""
    from mrl_sweep import words

    verdict, names = joint.verdict, list(joint.macro[0].measures)
    rows = []
    for row in joint.macro:
        kept, least = (
            words.percent(share, limit=verdict.retain) for share in (row.measures[verdict.measure].kept, row.least_kept)
        )
        means = {name: words.score(measure.mean) for name, measure in row.measures.items()}
        others = [means[name] for name in names if name != verdict.measure]
        first = row is joint.macro[0]
        rows.append(
            [
                str(row.dim),
                means[verdict.measure],
                "-" if first else kept,
                *others,
                least,
                row.least_in or "-",
                _words(row, verdict.dimension),
            ]
        )
    others = [name for name in names if name != verdict.measure]
    return [["dim", verdict.measure, "kept", *others, "least kept", "in", "in every collection"], *rows]


def _words(row: MacroRow, dimension: int) -> str:
    shown: Mapping[str, str] = {"pass": "ok", "fail": "too low", "inconclusive": "not proven", "not_tested": "not tested"}
    return shown.get(row.verdict, row.verdict) + (", smallest" if row.verdict == "pass" and row.dim == dimension else "")
