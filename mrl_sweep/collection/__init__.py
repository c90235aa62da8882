"""Judged collections, checked while they are read: one `load_collection` in front of one loader per layout."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from mrl_sweep.collection.judgments import LoadOptions
from mrl_sweep.errors import InputError
from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.files import is_there
from mrl_sweep.types import MissingDocs, NoRelevant
from mrl_sweep.words import did_you_mean, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from mrl_sweep.types import Collection, IntArray

__all__ = ["LoadOptions", "MissingDocs", "NoRelevant", "left_out", "load_collection", "own_rows"]

_LOADERS: Final = {
    "beir": ("mrl_sweep.collection.files", "load_beir"),
    "trec": ("mrl_sweep.collection.files", "load_trec"),
    "csv": ("mrl_sweep.collection.files", "load_tabular"),
    "ir": ("mrl_sweep.collection.catalogues", "load_ir"),
    "hf": ("mrl_sweep.collection.catalogues", "load_hf"),
}


def load_collection(
    source: str, *, split: str | None = None, options: LoadOptions | None = None, on_event: OnEvent = ignore
) -> Collection:
    """The collection that `source` names: a BEIR folder, `trec:…`, `csv:…`, `ir:…`, `hf:…` or `pydocs`.

    `split` None means `test`, or the only split there is. Errors: InputError, naming file and line, for whatever cannot be
    evaluated; MissingExtra for a catalogue whose package is not installed.
    """
    options = options or LoadOptions()
    if not source.strip():
        raise InputError("no collection is named", "--collection FOLDER, or --collection pydocs for the packaged one")
    if source == "pydocs":
        return _function("mrl_sweep.demo", "load_pydocs")(split=split, options=options)
    scheme, colon, rest = source.partition(":")
    if colon and scheme in _LOADERS:
        if not rest:
            raise InputError(f"{printable(source)} names no collection", f"{scheme}:NAME")
        return _function(*_LOADERS[scheme])(rest, split=split, options=options, on_event=on_event)
    if colon and rest.startswith("//"):
        raise InputError(
            f"{printable(source)} is an address, and collections are read from folders",
            "download and unpack it, and name the folder; hf:owner/name and ir:NAME download by themselves",
        )
    _refuse_misspelt(source, scheme if colon else "")
    return _function(*_LOADERS["beir"])(source, split=split, options=options, on_event=on_event)


def _refuse_misspelt(source: str, scheme: str) -> None:
    """Raise InputError for what is no folder but nearly a kind of collection, or the packaged one."""
    if is_there(source.partition(",")[0]) or "/" in scheme or "\\" in scheme:
        return
    word, names = (scheme, list(_LOADERS)) if scheme else (source, ["pydocs"])
    near = did_you_mean(word, names, spelt=lambda name: source.replace(word, name, 1))
    if near:
        raise InputError(f"{printable(source)} is no folder and no kind of collection", near)


def own_rows(collection: Collection) -> IntArray:
    """(n_queries,) the row of the document whose id is the query's own, -1 where there is none."""
    from mrl_sweep.collection.describe import own_rows as find

    return find(collection)


def left_out(collection: Collection, *, identical: bool) -> IntArray | None:
    """(n_queries,) the row of the document that each query's results leave out, -1 for none; None where no query has one.

    Documents that serve as queries leave themselves out; with `identical` a query leaves out the document of its own id.
    """
    if collection.query_rows is not None:
        return collection.query_rows
    return own_rows(collection) if identical else None


def _function(module: str, name: str) -> Callable[..., Collection]:
    function: Callable[..., Collection] = getattr(import_module(module), name)
    return function
