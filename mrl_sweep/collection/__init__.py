"""Judged collections, checked while they are read: one `load_collection` in front of one loader per layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Final

from mrl_sweep.collection.catalogues import load_hf, load_ir
from mrl_sweep.collection.files import BEIR, TABULAR, TREC, load_files
from mrl_sweep.collection.judgments import LoadOptions
from mrl_sweep.errors import InputError
from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.files import is_there
from mrl_sweep.files.ids import Ids
from mrl_sweep.types import Collection, IntArray, MissingDocs, NoRelevant
from mrl_sweep.words import did_you_mean, printable

__all__ = ["LoadOptions", "MissingDocs", "NoRelevant", "left_out", "load_collection", "own_rows"]

_LOADERS: Final[Mapping[str, Callable[..., Collection]]] = {
    "beir": partial(load_files, layout=BEIR),
    "trec": partial(load_files, layout=TREC),
    "csv": partial(load_files, layout=TABULAR),
    "ir": load_ir,
    "hf": load_hf,
}
"""The loader of a collection, by the prefix of its name."""


def load_collection(
    source: str, *, split: str | None = None, options: LoadOptions | None = None, on_event: OnEvent = ignore
) -> Collection:
    """Loads the collection that `source` names: a BEIR folder, `trec:…`, `csv:…`, `ir:…`, `hf:…` or `pydocs`.

    `split` None means `test`, or the only split there is. Errors: InputError, naming file and line, for data that cannot be
    evaluated; MissingExtra for a catalogue whose package is not installed.
    """
    options = options or LoadOptions()
    if not source.strip():
        raise InputError("no collection is named", "--collection FOLDER, or --collection pydocs for the packaged one")
    if source == "pydocs":
        packaged: Collection = import_module("mrl_sweep.demo").load_pydocs(split=split, options=options)
        return packaged
    scheme, colon, rest = source.partition(":")
    if colon and scheme in _LOADERS:
        if not rest:
            raise InputError(f"{printable(source)} names no collection", f"{scheme}:NAME")
        return _LOADERS[scheme](rest, split=split, options=options, on_event=on_event)
    if colon and rest.startswith("//"):
        raise InputError(
            f"{printable(source)} is an address, and collections are read from folders",
            "download and unpack it, and name the folder; hf:owner/name and ir:NAME download by themselves",
        )
    _refuse_misspelt(source, scheme if colon else "")
    return _LOADERS["beir"](source, split=split, options=options, on_event=on_event)


def _refuse_misspelt(source: str, scheme: str) -> None:
    """Raises InputError for a name that is no folder but nearly a kind of collection, or the packaged one."""
    if is_there(source.partition(",")[0]) or "/" in scheme or "\\" in scheme:
        return
    word, names = (scheme, list(_LOADERS)) if scheme else (source, ["pydocs"])
    near = did_you_mean(word, names, spelt=lambda name: source.replace(word, name, 1))
    if near:
        raise InputError(f"{printable(source)} is no folder and no kind of collection", near)


def own_rows(collection: Collection) -> IntArray:
    """Returns (n_queries,) the row of the document whose id is the query's own, -1 where there is none."""
    ids = collection.documents.ids
    return (ids if isinstance(ids, Ids) else Ids(ids)).rows_of(collection.queries.ids)


def left_out(collection: Collection, *, identical: bool) -> IntArray | None:
    """Returns (n_queries,) the row of the document that each query's results leave out, -1 for none; None where none has one.

    Documents that serve as queries leave themselves out; with `identical` a query leaves out the document of its own id.
    """
    if collection.query_rows is not None:
        return collection.query_rows
    return own_rows(collection) if identical else None
