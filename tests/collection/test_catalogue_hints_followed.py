"""Each hint about `hf:` and `ir:` is followed: its words lead to a collection that is read."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import followed_hints as hints
import pytest
import test_catalogues as catalogues
from reread import load_collection

datasets: Any = pytest.importorskip("datasets")
ir_datasets: Any = pytest.importorskip("ir_datasets")
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
Columns = dict[str, list[object]]
ASKED: Columns = {"_id": ["1"], "text": ["x"]}
JUDGED: Columns = {"query-id": ["1"], "corpus-id": ["d1"], "score": [1]}
WHOLE: dict[str, dict[str, Columns]] = {
    "corpus": {"test": catalogues.CORPUS},
    "queries": {"test": ASKED},
    "qrels": {"test": JUDGED},
}
LANGUAGES = {f"{language}-{part}": splits for language in ("de", "fr") for part, splits in WHOLE.items()}
SPLITS = {part: {"old": splits["test"], "new": splits["test"]} for part, splits in WHOLE.items()}


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    catalogues.TestHf.write(tmp_path / "whole", WHOLE)
    catalogues.TestHf.write(tmp_path / "languages", LANGUAGES)
    catalogues.TestHf.write(tmp_path / "splits", SPLITS)
    catalogues.TestHf.write(tmp_path / "bare", {part: WHOLE[part] for part in ("corpus", "queries")})
    hints.saved(tmp_path, {"broken/README.md": "---\nconfigs: [\n---\n"})
    hints.saved(tmp_path, {"docs.tsv": "d1\ta\n", "queries.tsv": "1\tx\n", "qrels": "1 0 d1 1\n"})


def registered(folder: Path) -> str:
    """The name of a data set of ir_datasets with the judgments `dev`."""
    files = [str(folder / name) for name in ("docs.tsv", "queries.tsv", "qrels")]
    name = f"followed{len(list(ir_datasets.registry))}"
    ir_datasets.registry.register(name, ir_datasets.create_dataset(*files[:2]))
    ir_datasets.registry.register(f"{name}/dev", ir_datasets.create_dataset(*files))
    return name


Kept = tuple[str, str | None]
Follow = Callable[[Path, "re.Match[str]", Kept], Kept]


class Case(NamedTuple):
    """What is typed (`{0}` is the folder, `{1}` a name of ir_datasets) with its split, what is told, and how it is followed."""

    spec: str
    says: str
    hint: str
    follow: Follow
    split: str | None = None


def named(form: str = "{}") -> Follow:
    return lambda _folder, match, _kept: (form.format(match[1]), None)


def split(_: Path, match: re.Match[str], kept: Kept) -> Kept:
    return kept[0], "new" if match[1] == "NAME" else match[1]


def mended(name: str) -> Follow:
    """The folder as the hint says that it should be."""

    def follow(folder: Path, _: re.Match[str], kept: Kept) -> Kept:
        shutil.rmtree(folder / name)
        catalogues.TestHf.write(folder / name, WHOLE)
        return kept

    return follow


def back(folder: Path, _: re.Match[str], kept: Kept) -> Kept:
    """The network is there again: the same command resumes."""
    (folder / "docs.tsv").write_text("d1\ta\n")
    return kept


CONFIGURATIONS = "has the configurations corpus, queries and qrels"
CASES = {
    "a subset, in a folder": Case("hf:{0}/languages", "no configuration corpus", r"name a subset: (\S+);", named()),
    "a subset, in a folder beside": Case("hf:languages", "no configuration corpus", r"name a subset: (\S+);", named()),
    "another subset": Case("hf:{0}/languages/es", "no configuration corpus", r"name a subset: (\S+);", named()),
    "no folder": Case("hf:./nothing", "no such folder", "(hf:)owner/name, or a folder", named("{}whole")),
    "no owner": Case("hf:a", "is not owner/name", "^(hf:)owner/name, ", named("{}me/right")),
    "no judgments": Case("hf:{0}/bare", "has no judgments", CONFIGURATIONS, mended("bare")),
    "several splits": Case("hf:{0}/splits", "has the splits", "^--split (NAME)$", split),
    "a name of the hub misspelt": Case("hf:me/wrong", "me/wrong", "is the name spelt (right)", named("hf:me/{}")),
    "the hub is not reached": Case("hf:me/far", "cannot reach", "(hf:) also takes a folder", named("{}whole")),
    "a broken card": Case("hf:{0}/broken", "cannot read", CONFIGURATIONS, mended("broken")),
    "part of a name": Case("ir:{1}", "has no judgments", r"name one of its parts: (\S+)", named("ir:{}")),
    "another split": Case("ir:{1}/dev", "has no split train", r"^--split (\S+)$", split, "train"),
    "a name misspelt": Case("ir:{1}/dve", "knows no", r"did you mean .*?(followed\d+/dev)\b.*\?", named("ir:{}")),
    "files are gone": Case("ir:{1}/dev", "cannot read", "The same command resumes", back),
}


def configurations(path: str, **kwargs: Any) -> list[str]:
    """As the hub answers: `me/right` lies in a folder, `me/wrong` is unknown, `me/far` is out of reach."""
    if path == "me/wrong":
        raise importlib.import_module("datasets.exceptions").DatasetNotFoundError(f"{path} is not on the hub")
    if path == "me/far":
        raise ConnectionError("offline")
    return list(WHOLE) if path == "me/right" else list(KNOWN["get_dataset_config_names"](path, **kwargs))


KNOWN = {name: getattr(datasets, name) for name in ("get_dataset_config_names", "get_dataset_split_names", "load_dataset")}


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lying(name: str) -> Callable[..., Any]:
        return lambda path, *args, **kwargs: KNOWN[name](str(tmp_path / "whole") if path == "me/right" else path, *args, **kwargs)

    monkeypatch.setattr(datasets, "get_dataset_config_names", configurations)
    for name in ("get_dataset_split_names", "load_dataset"):
        monkeypatch.setattr(datasets, name, lying(name))


def load(kept: Kept) -> None:
    list(load_collection(kept[0], split=kept[1]).documents.texts())


def situation(name: str, folder: Path) -> tuple[Kept, hints.Met]:
    kept = CASES[name].spec.format(folder, registered(folder)), CASES[name].split
    if name == "files are gone":
        (folder / "docs.tsv").unlink()
    met = hints.met(lambda: load(kept))
    assert met, "the situation is read"
    return kept, met


def test_every_hint_leads_on_and_none_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = []
    for name, case in CASES.items():
        kept, met = situation(name, tmp_path)
        places.append(met.place)
        assert re.search(case.says, met.error.message), (name, met.error.message)
        match = re.search(case.hint, met.error.hint)
        assert match, (name, met.error.hint)
        after = case.follow(tmp_path, match, kept)
        assert hints.met(lambda after=after: load(after)) is None, (name, after)
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    for package, spec in (("datasets", "hf:whole"), ("ir_datasets", f"ir:{registered(tmp_path)}/dev")):
        with monkeypatch.context() as without:
            without.setitem(sys.modules, package, None)
            missing = hints.met(lambda spec=spec: load((spec, None)))
        assert missing
        places.append(missing.place)
        extra = re.fullmatch(r"pip install 'mrl-sweep\[(\w+)\]'", missing.error.hint)
        assert extra
        assert any(re.split(r"[\s<>=;~]", one)[0].replace("-", "_") == package for one in extras[extra[1]])
        load((spec, None))
    here = [site for site in hints.sites("collection") if site.path.name == "catalogues.py"]
    assert hints.unfollowed(here, places, {}) == []
