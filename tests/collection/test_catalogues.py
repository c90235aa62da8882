"""`ir:` and `hf:`: names, splits and subsets, and what a user reads when something is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reread import load_collection

from mrl_sweep.collection.catalogues import Repository, parse_repository
from mrl_sweep.errors import EnvironmentFault, InputError, MissingExtra

CORPUS: dict[str, list[object]] = {"_id": ["d1", "d2"], "text": ["a", "b"], "vector": [[1.0], [2.0]]}


@pytest.mark.parametrize(("source", "package"), [("ir:beir/scifact/test", "ir_datasets"), ("hf:mteb/scifact", "datasets")])
def test_a_missing_package_names_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch, source: str, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra) as caught:
        load_collection(source)
    assert caught.value.message == f"this needs {package}, which is not installed"
    assert caught.value.hint == "pip install 'mrl-sweep[collections]'"


class TestIr:
    @pytest.fixture(autouse=True)
    def catalogue(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "home"))
        ir_datasets = pytest.importorskip("ir_datasets")
        (tmp_path / "docs.tsv").write_text("d1\ta\nd2\tb\nd3\tc\n")
        (tmp_path / "queries.tsv").write_text("1\tx\n")
        (tmp_path / "qrels").write_text("1 0 d2 1\n")
        files = [str(tmp_path / name) for name in ("docs.tsv", "queries.tsv", "qrels")]
        self.gone = tmp_path / "docs.tsv"
        self.name = f"mine{len(list(ir_datasets.registry))}"
        ir_datasets.registry.register(self.name, ir_datasets.create_dataset(files[0], files[1]))
        ir_datasets.registry.register(f"{self.name}/dev", ir_datasets.create_dataset(*files))

    def test_the_split_is_the_last_part_of_the_name(self) -> None:
        by_split = load_collection(f"ir:{self.name}", split="dev")
        by_name = load_collection(f"ir:{self.name}/dev")
        assert by_split.name == by_name.name == f"{self.name}/dev"
        assert by_split.facts["split"] == by_name.facts["split"] == "dev"
        assert by_name.queries == by_split.queries
        assert list(by_name.documents.texts(1)) == ["b", "c"]

    def test_a_name_without_judgments_lists_its_parts(self) -> None:
        with pytest.raises(InputError, match=f"ir:{self.name} has no judgments of its own") as caught:
            load_collection(f"ir:{self.name}")
        assert caught.value.hint == f"name one of its parts: {self.name}/dev"

    def test_another_split_than_the_name_s_is_refused(self) -> None:
        with pytest.raises(InputError, match=f"ir:{self.name} has no judgments of train"):
            load_collection(f"ir:{self.name}", split="train")
        with pytest.raises(InputError, match=f"ir:{self.name}/dev has no split train"):
            load_collection(f"ir:{self.name}/dev", split="train")

    def test_an_unknown_name_suggests_the_nearest(self) -> None:
        with pytest.raises(InputError, match="ir_datasets knows no beir/scifcat") as caught:
            load_collection("ir:beir/scifcat")
        assert "beir/scifact" in caught.value.hint

    def test_what_cannot_be_fetched_is_a_fault_of_the_surroundings(self) -> None:
        self.gone.unlink()
        with pytest.raises(EnvironmentFault, match=f"cannot read ir:{self.name}/dev"):
            load_collection(f"ir:{self.name}/dev")


class TestHf:
    @pytest.fixture(autouse=True)
    def offline(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        datasets = pytest.importorskip("datasets")
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)

    @staticmethod
    def write(folder: Path, configs: dict[str, dict[str, dict[str, list[object]]]]) -> str:
        """Configurations of splits of columns, as a folder with a card."""
        card = ["---", "configs:"]
        for config, splits in configs.items():
            card += [f"- config_name: {config}", "  data_files:"]
            for split, columns in splits.items():
                (folder / config).mkdir(parents=True, exist_ok=True)
                pq.write_table(pa.table(columns), folder / config / f"{split}.parquet")
                card += [f"  - split: {split}", f"    path: {config}/{split}.parquet"]
        (folder / "README.md").write_text("\n".join([*card, "---", ""]))
        return f"hf:{folder}"

    def test_pairs_without_scores_are_relevant_as_in_nanobeir(self, tmp_path: Path) -> None:
        source = self.write(
            tmp_path / "NanoX",
            {
                "corpus": {"train": CORPUS},
                "queries": {"train": {"_id": [1, 2], "text": ["x", "y"]}},
                "qrels": {"train": {"query-id": ["1", "2"], "corpus-id": ["d1", "d2"]}},
            },
        )
        collection = load_collection(source)
        assert collection.name == "NanoX"
        assert collection.queries.ids == ("1", "2")
        assert collection.qrels.grades.tolist() == [1, 1]
        assert collection.facts["split"] == "train"
        assert list(collection.documents.texts()) == ["a", "b"]

    def test_the_split_asked_for_decides_among_judgments_and_queries(self, tmp_path: Path) -> None:
        def judged(query: str) -> dict[str, list[object]]:
            return {"query-id": [query], "corpus-id": ["d2"], "score": [1.0]}

        source = self.write(
            tmp_path,
            {
                "corpus": {"corpus": CORPUS},
                "queries": {"queries": {"_id": ["1", "2"], "text": ["x", "y"]}},
                "default": {"dev": judged("1"), "test": judged("2")},
            },
        )
        assert load_collection(source).queries.ids == ("2",)
        assert load_collection(source, split="dev").queries.ids == ("1",)
        with pytest.raises(InputError, match="the splits there are dev, test"):
            load_collection(source, split="train")

    def test_a_multilingual_set_asks_for_its_subset(self, tmp_path: Path) -> None:
        source = self.write(
            tmp_path,
            {
                "de-corpus": {"test": CORPUS},
                "de-queries": {"test": {"_id": ["1"], "text": ["x"]}},
                "de-qrels": {"test": {"query-id": ["1"], "corpus-id": ["d1"], "score": [1]}},
            },
        )
        with pytest.raises(InputError, match="has no configuration corpus; it has de-corpus") as caught:
            load_collection(source)
        assert "there are de" in caught.value.hint

    def test_a_folder_without_judgments_is_refused(self, tmp_path: Path) -> None:
        source = self.write(tmp_path, {"corpus": {"test": CORPUS}, "queries": {"test": {"_id": ["1"], "text": ["x"]}}})
        with pytest.raises(InputError, match="has no judgments; its configurations are corpus, queries"):
            load_collection(source)

    def test_a_set_that_cannot_be_reached_is_a_fault_of_the_surroundings(self) -> None:
        with pytest.raises(EnvironmentFault, match="cannot reach hf:nobody/nothing"):
            load_collection("hf:nobody/nothing")


@pytest.mark.parametrize(
    ("source", "repository"),
    [
        ("mteb/scifact", Repository("mteb/scifact")),
        ("mteb/MIRACL/de", Repository("mteb/MIRACL", "de")),
        ("mteb/scifact@abc123", Repository("mteb/scifact", "", "abc123")),
    ],
)
def test_names_on_the_hub(source: str, repository: Repository) -> None:
    assert parse_repository(source) == repository


@pytest.mark.parametrize("source", ["scifact", "a/b/c/d", "a//b", "./nothing", "/nothing"])
def test_other_names_are_refused(source: str) -> None:
    with pytest.raises(InputError):
        parse_repository(source)
