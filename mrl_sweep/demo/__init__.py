"""The packaged collection `pydocs`: what Python and well-known packages say of their public objects, with two query sets.

`pydocs/` is a BEIR folder like any other; its NOTICE says whose words they are, `python -m benchmarks.pydocs` made it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from mrl_sweep.collection import LoadOptions
from mrl_sweep.collection.files import BEIR, load_files
from mrl_sweep.errors import InputError
from mrl_sweep.types import Collection
from mrl_sweep.words import printable

FOLDER: Final = Path(__file__).with_name("pydocs")
SPLITS: Final = ("test", "known-item", "questions")
"""`test` is both query sets; all splits have the same documents."""


def load_pydocs(*, split: str | None = None, options: LoadOptions | None = None) -> Collection:
    """Loads the packaged collection, the same on every machine; split None is `test`.

    A document's id and title are a qualified name (`os.replace`, `pandas.DataFrame.merge`); its text is the call with the
    names of its parameters, then the docstring.

    Queries: `known-item`, where a docstring's summary sentence asks for its object and is taken out of the document, and
    `questions`, written by hand with graded answers. Each query's `style` is `known-item` or how the question is asked, `topic`
    (questions only) what it is about, `package` and `kind` those of its best answer. Raises InputError for an unknown split.
    """
    if split is not None and split not in SPLITS:
        raise InputError(f"pydocs has no split {printable(split)}", f"--split {' or --split '.join(SPLITS)}")
    collection = load_files(str(FOLDER), layout=BEIR, split=split, options=options or LoadOptions())
    return replace(collection, facts={**collection.facts, "source": "pydocs"})
