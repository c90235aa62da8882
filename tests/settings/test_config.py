"""Settings from every source: which one wins, what each remembers, and what a mistake is told."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from mrl_sweep.errors import InputError
from mrl_sweep.settings.config import SweepConfig, as_config, load_config
from mrl_sweep.settings.table import SETTINGS
from mrl_sweep.types import Basis, Measure, Similarity

NOWHERE: dict[str, str] = {}


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(text: str, name: str = "sweep.toml") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def refusal(text: str) -> tuple[str, str]:
    with pytest.raises(InputError) as refused:
        load_config(written(text), environ=NOWHERE)
    return refused.value.message, refused.value.hint


def test_defaults_are_those_of_the_contract() -> None:
    config = load_config(environ=NOWHERE)
    assert config.settings() == {
        "collection.source": None,
        "collection.split": None,
        "collection.missing_docs": "error",
        "collection.no_relevant": "exclude",
        "collection.label_free": False,
        "model.name": None,
        "model.query_model": None,
        "model.revision": None,
        "model.query_prompt": None,
        "model.document_prompt": None,
        "model.trust_remote_code": False,
        "model.base_url": None,
        "model.batch_size": None,
        "model.device": None,
        "model.max_length": None,
        "model.fail_on_truncation": False,
        "model.backend": "torch",
        "model.processes": 1,
        "model.verify_api": None,
        "model.price_per_million": None,
        "sweep.dims": "auto",
        "sweep.basis": ["prefix"],
        "sweep.index": ["Flat"],
        "sweep.precision": ["float32"],
        "sweep.rescore": [],
        "sweep.similarity": "cosine",
        "sweep.exclude_identical": False,
        "decision.measures": ["nDCG@10", "R@10", "R@100"],
        "decision.require": [],
        "decision.retain": 0.98,
        "decision.alpha": 0.05,
        "decision.decide_by": "bound",
        "decision.cluster": None,
        "slices.slice": [],
        "slices.slice_retain": None,
        "run.store": None,
        "run.store_dtype": "float32",
        "run.out": None,
        "run.force": False,
        "run.format": "text",
        "run.output": None,
        "run.run_files": False,
        "run.offline": False,
        "run.strict": False,
        "run.accept": [],
        "run.threads": None,
        "run.max_memory": None,
        "run.executor": "local",
        "run.address": None,
        "gate.dim": None,
        "gate.max_dim": None,
        "gate.max_bytes": None,
        "gate.config": None,
        "gate.on_inconclusive": "fail",
        "gate.baseline": None,
        "gate.baseline_optional": False,
        "gate.allow": [],
        "gate.max_regression": 0.01,
        "collection.distractors": None,
        "deploy.target": "faiss",
        "deploy.dsn": None,
        "deploy.budget_gib": [],
        "deploy.budget_ms": [],
        "deploy.funnel": [],
        "deploy.keep_indexes": False,
        "deploy.project_docs": [],
        "plan.docs": None,
        "plan.index": [],
        "plan.replicas": 1,
        "plan.qps": None,
        "plan.recall": None,
        "plan.currency": None,
        "plan.tenant": [],
        "plan.price_gib_month": None,
        "plan.price_disk_gib_month": None,
        "plan.machine_memory": None,
        "plan.machine_price_month": None,
        "plan.headroom": 0.2,
        "plan.documents_per_second": None,
        "plan.tokens_per_document": None,
    }
    assert config.origins == {}


def test_flags_win_over_environment_over_file_over_pyproject() -> None:
    written(
        '[tool.mrl-sweep.decision]\nretain = 0.91\nalpha = 0.01\nrequire = "R@10"\n[tool.mrl-sweep.sweep]\ndims = 64\n',
        "pyproject.toml",
    )
    path = written("[decision]\nretain = 0.92\nalpha = 0.02\nrequire = ['R@100']\n")
    environ = {"MRL_SWEEP_RETAIN": "93%", "MRL_SWEEP_ALPHA": "0.03", "PATH": "/bin"}
    config = load_config(path, {"retain": "0.94", "alpha": None, "measure": []}, environ)
    assert (config.decision.retain, config.decision.alpha) == (0.94, 0.03)
    assert config.decision.require == (Measure("R", 100),)
    assert config.sweep.dims == (64,)
    assert config.origins == {
        "decision.retain": "--retain",
        "decision.alpha": "MRL_SWEEP_ALPHA",
        "decision.require": "sweep.toml:4",
        "sweep.dims": "pyproject.toml:6",
    }


def test_values_arrive_as_the_types_of_the_rooms() -> None:
    config = SweepConfig.of(
        collection="pydocs",
        model="wordllama",
        dims=[64, 256],
        measure=["recall@10", "ndcg@10"],
        basis="prefix,pca",
        similarity="dot",
    )
    assert config.collection.source == "pydocs"
    assert config.model.name == "wordllama"
    assert config.sweep.dims == (256, 64)
    assert config.decision.measures == (Measure("R", 10), Measure("nDCG", 10))
    assert config.sweep.basis == (Basis.PREFIX, Basis.PCA)
    assert config.sweep.similarity is Similarity.DOT
    assert config.origins["decision.measures"] == "measure="


def test_a_file_takes_the_units_that_flags_take() -> None:
    config = load_config(
        written("[decision]\nretain = '98%'\n[run]\nmax_memory = '4GiB'\nthreads = 2\noffline = true\n"), environ=NOWHERE
    )
    assert (config.decision.retain, config.run.max_memory, config.run.threads, config.run.offline) == (0.98, 4 * 2**30, 2, True)


def test_the_index_of_a_plan_is_not_that_of_a_run() -> None:
    assert SweepConfig.of(index="none").sweep.index == ()
    assert SweepConfig.of(plan_index="HNSW32").plan.index == ("HNSW32",)
    assert load_config(flags={"plan_index": ["HNSW32"]}, environ=NOWHERE).origins == {"plan.index": "--index"}


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        SweepConfig.of().decision.retain = 0.5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[decision]\nretian = 0.98", "sweep.toml:2: unknown key 'retian' in [decision]", "did you mean 'retain'?"),
        ("[decison]\nretain = 0.98", "sweep.toml:1: unknown table [decison]", "did you mean 'decision'?"),
        ("[sweep]\nretain = 0.98", "sweep.toml:2: unknown key 'retain' in [sweep]", "it belongs under [decision]"),
        ("[model]\nmodel = 'x'", "sweep.toml:2: unknown key 'model' in [model]", "did you mean 'name'?"),
        ("[run]\nmax-memory = '4GiB'", "sweep.toml:2: unknown key 'max-memory' in [run]", "did you mean 'max_memory'?"),
        ("retain = 0.98", "sweep.toml:1: the key 'retain' stands outside of any table", "it belongs under [decision]"),
        ("decision = 0.98", "sweep.toml:1: [decision] is a table", "write [decision] on a line of its own, its keys below"),
        (
            "[model]\napi_key = 'canary'",
            "sweep.toml:2: unknown key 'api_key' in [model]",
            "keys are read from the environment only, under the provider's own name",
        ),
        (
            "[decision]\n\nretain = '2%'",
            "sweep.toml:3: [decision] retain: 2% reads as what may be lost, not as what must be kept",
            "to lose at most 2%, write 0.98 or 98%",
        ),
        (
            "[sweep]\ndims = 'large'",
            "sweep.toml:2: [sweep] dims: 'large' is not a number of dimensions",
            "write auto, a list such as 64,128,256, or every:8",
        ),
        (
            "[sweep]\nbasis = 'pcs'",
            "sweep.toml:2: [sweep] basis: 'pcs' is not accepted",
            "did you mean 'pca'? write one of: prefix, pca, random",
        ),
        (
            "[decision]\nretain = 0.98\nalpha = = 2",
            "sweep.toml:3: not valid TOML: Invalid value",
            "texts stand between quotes, tables between brackets",
        ),
        (
            "[decision]\nretain =",
            "sweep.toml:2: not valid TOML: Invalid value",
            "texts stand between quotes, tables between brackets",
        ),
    ],
)
def test_a_mistake_in_a_file_is_named_with_line_key_and_remedy(text: str, message: str, hint: str) -> None:
    assert refusal(text) == (message, hint)


def test_an_unknown_measure_is_suggested() -> None:
    message, _ = refusal("[decision]\nmeasures = ['nDGC@10']")
    assert message == "sweep.toml:2: [decision] measures: unknown measure 'nDGC@10': did you mean nDCG@10?"


def test_all_mistakes_are_told_at_once() -> None:
    message, hint = refusal("[decision]\nretain = 98\nalpha = '95%'")
    assert message == (
        "sweep.toml:2: [decision] retain: 98 is not a share between 0 and 1 (write 98% or 0.98)\n"
        "sweep.toml:3: [decision] alpha: 95% is not an error rate (write 0.05 or 5% for 95% confidence)"
    )
    assert hint == "2 settings to mend; `mrl-sweep config` shows all of them"


def test_a_missing_or_unreadable_file_is_named() -> None:
    with pytest.raises(InputError, match=r"cannot read absent\.toml: No such file"):
        load_config(Path("absent.toml"), environ=NOWHERE)
    Path("latin.toml").write_bytes(b"[model]\nname = '\xe9'\n")
    with pytest.raises(InputError, match=r"latin\.toml: byte 16 is not UTF-8"):
        load_config(Path("latin.toml"), environ=NOWHERE)


def test_byte_order_mark_and_carriage_returns_are_accepted() -> None:
    Path("dos.toml").write_bytes(b"\xef\xbb\xbf[decision]\r\nretain = 0.9\r\n")
    assert load_config(Path("dos.toml"), environ=NOWHERE).decision.retain == 0.9


def test_a_pyproject_of_someone_else_is_left_alone() -> None:
    written("[tool.ruff]\nretain = 1\n", "pyproject.toml")
    assert load_config(environ=NOWHERE).origins == {}


def test_a_variable_that_names_no_setting_is_refused_without_its_value() -> None:
    with pytest.raises(InputError) as refused:
        load_config(environ={"MRL_SWEEP_RETIAN": "canary"})
    assert (refused.value.message, refused.value.hint) == (
        "MRL_SWEEP_RETIAN: no setting has this name",
        "did you mean 'MRL_SWEEP_RETAIN'?",
    )


def test_an_empty_variable_counts_as_unset() -> None:
    assert load_config(environ={"MRL_SWEEP_RETAIN": ""}).origins == {}


def test_lists_in_the_environment_are_cut_where_they_can_be() -> None:
    environ = {
        "MRL_SWEEP_MEASURE": "nDCG@10, R@10",
        "MRL_SWEEP_INDEX": "IVF64,Flat HNSW32",
        "MRL_SWEEP_SLICE": "label,source site",
    }
    config = load_config(environ=environ)
    assert config.decision.measures == (Measure("nDCG", 10), Measure("R", 10))
    assert config.sweep.index == ("IVF64,Flat", "HNSW32")
    assert config.slices.slice == ("label", "source site")


def test_paths_in_a_file_are_meant_from_its_folder() -> None:
    Path("conf/data").mkdir(parents=True)
    Path("conf/vectors").mkdir()
    path = written(
        "[collection]\nsource = 'data'\n[model]\nname = 'vectors:vectors'\n[run]\nout = 'runs/a'\nstore = '/var/s'\n",
        "conf/a.toml",
    )
    config = load_config(path, environ=NOWHERE)
    assert config.collection.source == "conf/data"
    assert config.model.name == "vectors:conf/vectors"
    assert config.run.out == Path("conf/runs/a")
    assert config.run.store == Path("/var/s")
    assert load_config(path, {"out": "runs/b", "collection": "data"}, NOWHERE).run.out == Path("runs/b")


def test_packaged_names_and_hub_names_are_no_paths() -> None:
    Path("conf/pydocs").mkdir(parents=True)
    config = load_config(
        written("[collection]\nsource = 'pydocs'\n[model]\nname = 'org/model'\n", "conf/a.toml"), environ=NOWHERE
    )
    assert (config.collection.source, config.model.name) == ("pydocs", "org/model")


def test_a_password_in_a_url_is_blanked_when_shown() -> None:
    config = SweepConfig.of(base_url="https://me:canary@host:8080/v1")
    assert config.settings()["model.base_url"] == "https://***@host:8080/v1"
    assert config.model.base_url == "https://me:canary@host:8080/v1"


def test_notebooks_may_give_a_config_a_path_or_keywords() -> None:
    config = SweepConfig.of(retain=0.9)
    assert as_config(config) is config
    assert as_config(written("[decision]\nretain = 0.9\n"), alpha=0.01).decision.alpha == 0.01
    assert as_config(retain="90%").decision.retain == 0.9
    with pytest.raises(InputError, match="no setting 'retian'") as refused:
        as_config(retian=1)
    assert refused.value.hint == "did you mean 'retain'?"


def test_every_setting_has_one_option_and_one_variable() -> None:
    assert len({setting.flag for setting in SETTINGS}) == len(SETTINGS)
    by_key = {f"{s.table}.{s.key}": s for s in SETTINGS}
    assert (by_key["decision.measures"].option, by_key["decision.measures"].variable) == ("--measure", "MRL_SWEEP_MEASURE")
    assert (by_key["run.max_memory"].option, by_key["collection.source"].option) == ("--max-memory", "--collection")


def test_one_collection_is_a_name_and_several_are_a_list() -> None:
    (Path("conf") / "data").mkdir(parents=True)
    path = written("[collection]\nsource = ['data', 'pydocs', 'csv:x,queries.text=q']\n", "conf/a.toml")
    assert load_config(path, environ=NOWHERE).collection.sources == ("conf/data", "pydocs", "csv:x,queries.text=q")
    assert SweepConfig.of(collection=["pydocs"]).collection.source == "pydocs"
    assert SweepConfig.of(collection=["pydocs"]).settings() == SweepConfig.of(collection="pydocs").settings()
    assert SweepConfig.of().collection.sources == ()
    assert SweepConfig.of(collection=["a", "b"]).settings()["collection.source"] == ["a", "b"]


def test_a_collection_named_twice_is_refused() -> None:
    with pytest.raises(InputError, match="collection=: the collection a is named twice"):
        SweepConfig.of(collection=["a", "b", "a"])


def test_without_judgments_agreement_is_what_is_measured_unless_another_depth_is_asked_for() -> None:
    assert SweepConfig.of(label_free=True).decision.measures == (Measure("Agreement", 10),)
    assert SweepConfig.of(label_free=True, measure="Agreement@50").decision.measures == (Measure("Agreement", 50),)
    assert SweepConfig.of(label_free=False).decision.measures[0] == Measure("nDCG", 10)
