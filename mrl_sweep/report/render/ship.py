"""Renders what to paste for deployment: the database's statements, the client's parameters, the rotation, the gate's line."""

from __future__ import annotations

import shlex
from typing import Final

from mrl_sweep import words
from mrl_sweep.deploying.targets import DEFAULT_TARGET, Target, target_named
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import CandidateRow
from mrl_sweep.report.render import Look, escape
from mrl_sweep.types import Basis, Configuration

MEASURED_FOR: Final = "deploy.measured_for"
"""The setting that names the run's own target, where the report is rendered for another."""

_COMMENT: Final = {"sql": "--", "python": "#"}


def render(report: Report, look: Look) -> str:
    """Writes what to paste, in the order in which it is used, or that the target can hold nothing; ends with a newline."""
    target = _target(report)
    row = shipped(report, target)
    if row is None:
        again = "" if _measured_for(report) == target else f"A run with --target {target.name} measures what it can.\n"
        return f"Nothing to ship: {target.title} can hold none of the acceptable configurations of this run.\n{again}"
    parts = [_evidence(report, row, target), _client(report, row, target), _statements(report, row, target), _gate(report, row)]
    text = "\n\n".join(parts) + "\n"
    return text.encode(look.encoding, "backslashreplace").decode(look.encoding)


def shipped(report: Report, target: Target) -> CandidateRow | None:
    """Picks the run's answer in bytes, or where the target refuses it the acceptable exact row of fewest bytes; else None."""
    full, symmetric = _full(report), _measured_for(report).compares_codes
    rows = [
        row
        for row in report.candidates
        if row.acceptable
        and not target.refusal(row.configuration, full)
        and not target.compared_otherwise(row.precision, symmetric=symmetric)
    ]
    answer = next((row for row in rows if str(row.configuration) == report.verdict.configuration), None)
    if answer is not None:
        return answer
    exact = [row for row in rows if row.index == "exact" and row.basis in (Basis.PREFIX, Basis.PCA)]
    return min(exact, key=lambda row: (row.bytes_per_vector, row.dim), default=None)


def _target(report: Report) -> Target:
    return target_named(str(report.of_run("settings").get("deploy.target", DEFAULT_TARGET)))


def _measured_for(report: Report) -> Target:
    """Returns the target of the run itself, also where the report is rendered for another."""
    return target_named(str(report.of_run("settings").get(MEASURED_FOR) or _target(report).name))


def _full(report: Report) -> int:
    return max((row.dim for row in report.candidates if row.basis == Basis.PREFIX), default=0)


def _evidence(report: Report, row: CandidateRow, target: Target) -> str:
    evidence, retain = row.measures.get(report.verdict.measure), report.verdict.retain
    text = f"# {row.configuration} in {target.title}"
    if evidence is not None and evidence.at_least is not None:
        text += (
            f": keeps {words.percent(evidence.kept, limit=retain)} of {report.verdict.measure}, "
            f"at least {words.percent(evidence.at_least, limit=retain)}; {words.asked_share(retain)} was asked"
        )
    if row.rescore and target.rescoring:
        text += f"\n# {target.title} orders a shortlist again: {target.rescoring}"
    if row.index == "exact":
        text += "\n# this is an exhaustive search of these codes; what the index loses on top, mrl-sweep score tells"
    return text


def _client(report: Report, row: CandidateRow, target: Target) -> str:
    """Writes how the vectors are made at this size."""
    if row.basis == Basis.PCA:
        return (
            "# rotation: rotation.npy in the run's folder, applied to documents and queries alike\n"
            f'rotation = numpy.load("rotation.npy")[:, :{row.dim}]\n'
            "vectors = full_vectors @ rotation\n"
            "vectors /= numpy.linalg.norm(vectors, axis=1, keepdims=True)"
        )
    if target.cuts:
        return (
            f"# vectors\n# the database keeps them at full size, {_full(report)} numbers, and cuts them by the statements below"
        )
    model = report.of_run("model")
    name = escape.plain(str(model.get("name", "")))
    hosted, parameter = name.partition(":")[2], model.get("size_parameter")
    if hosted and parameter:
        return f"# client of {hosted}\n{escape.plain(str(parameter))}={row.dim}  # renormalise, unless the vendor does"
    if hosted or name in ("", "wordllama"):
        return f"# vectors\nvector = vector[:{row.dim}] / norm(vector[:{row.dim}])  # cut, then renormalise"
    return (
        "# client\n"
        f"model = SentenceTransformer({name!r}, truncate_dim={row.dim})\n"
        "vectors = model.encode(texts, normalize_embeddings=True)"
    )


def _statements(report: Report, row: CandidateRow, target: Target) -> str:
    configuration = row.configuration
    if row.basis == Basis.PCA:
        # turned vectors are stored at their own size: nothing is left to cut
        configuration = Configuration(Basis.PREFIX, row.dim, row.index, row.precision, row.rescore)
    pasted = target.paste(configuration, row.dim if row.basis == Basis.PCA else _full(report))
    if not pasted:
        return f"# {target.title}: no statement is known for {row.precision}"
    return "\n".join(line for one, text in pasted for line in (f"{_COMMENT.get(one.language, '#')} {one.purpose}", text))


def _gate(report: Report, row: CandidateRow) -> str:
    retain = words.asked_share(report.verdict.retain)
    question = f"--dim {row.dim}" if row.configuration.is_exact_prefix else f"--config {row.configuration}"
    return f"# in CI\nmrl-sweep gate {shlex.quote(str(report.folder or 'RUN'))} {question} --retain {retain}"
