"""The hand-written questions: as people ask, each with the objects that answer it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Question:
    """A question and its answers by qualified name: grade 2 answers it, grade 1 helps.

    `style` is how it is asked: goal, symptom (an error or a surprise), keyword, comparison, concept.
    """

    id: str
    text: str
    style: str
    topic: str
    answers: Mapping[str, int]


def read_questions() -> list[Question]:
    """All questions of the packaged file, in its order."""
    text = files("mrl_sweep.demo").joinpath("questions.jsonl").read_text(encoding="utf-8")
    return [Question(**json.loads(line)) for line in text.split("\n") if line]


def resolve(questions: list[Question], row_of: Mapping[str, int]) -> tuple[list[tuple[Question, dict[int, int]]], int]:
    """(each question with the grades of its answers by row, how many answers are not there under any name).

    Two answers that are one object here, such as `numpy.concat` and `numpy.concatenate`, are judged once, by the higher grade.
    """
    resolved = []
    absent = 0
    for question in questions:
        grades: dict[int, int] = {}
        for name, grade in question.answers.items():
            row = row_of.get(name)
            if row is None:
                absent += 1
            else:
                grades[row] = max(grade, grades.get(row, 0))
        resolved.append((question, grades))
    return resolved, absent
