"""Every setting of a run as one frozen `SweepConfig`: flags over environment over TOML over pyproject over defaults.

The tables and keys are those of the TOML file; `FLAGS` names the command line's option for each. pydantic is imported here only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, PrivateAttr, ValidationError

from mrl_sweep.decision.policy import DecideBy
from mrl_sweep.errors import InputError
from mrl_sweep.measures.measure import parse_measure
from mrl_sweep.settings.layers import Layer, Setting, environment_layer, flag_layer, pyproject_layer, toml_layer
from mrl_sweep.settings.parsing import (
    choice_of,
    list_of,
    parse_count,
    parse_dims,
    parse_flag,
    parse_indexes,
    parse_level,
    parse_loss,
    parse_number,
    parse_path,
    parse_positive,
    parse_share,
    parse_size,
    parse_sources,
    parse_text,
)
from mrl_sweep.types import AGREEMENT, Basis, Format, Measure, MissingDocs, NoRelevant, Similarity

LABEL_FREE_MEASURES: Final = (Measure(AGREEMENT, 10),)
"""What is measured without judgments, unless a depth is asked for."""


class StoreDtype(StrEnum):
    """How a component is stored: float16 takes half the disk."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"


class Executor(StrEnum):
    """Where ranking runs."""

    LOCAL = "local"


class OnInconclusive(StrEnum):
    """What the gate does where the queries cannot tell: end with code 4, pass and say so, or pass."""

    FAIL = "fail"
    WARN = "warn"
    PASS = "pass"


class _Refused(ValueError):
    """Carries our own error through pydantic."""

    def __init__(self, fault: InputError) -> None:
        super().__init__(fault.message)
        self.fault = fault


def _read(parse: Callable[[object], Any]) -> BeforeValidator:
    def validate(value: object) -> Any:
        try:
            return None if value is None else parse(value)
        except InputError as fault:
            raise _Refused(fault) from fault

    return BeforeValidator(validate)


Text = Annotated[str, _read(parse_text)]
MaybeText = Annotated[str | None, _read(parse_text)]
MaybePath = Annotated[Path | None, _read(parse_path)]
Flag = Annotated[bool, _read(parse_flag)]
MaybePositive = Annotated[int | None, _read(parse_positive)]
MaybeSize = Annotated[int | None, _read(parse_size)]
Texts = Annotated[tuple[str, ...], _read(list_of(parse_text))]
Measures = Annotated[tuple[Measure, ...], _read(list_of(parse_measure, ", "))]
Share = Annotated[float, _read(parse_share)]
MaybeShare = Annotated[float | None, _read(parse_share)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class CollectionTable(_Table):
    """[collection]: what is searched, and by which judgments it is measured; `split` None is `test`, or the only one there is.

    `source` is one collection, or several that are asked the same question. `label_free` reads no judgments: what is measured
    then is the agreement with full size, on every query.
    """

    source: Annotated[str | tuple[str, ...] | None, _read(parse_sources)] = None
    split: MaybeText = None
    distractors: MaybePath = None
    missing_docs: Annotated[MissingDocs, _read(choice_of(MissingDocs))] = MissingDocs.ERROR
    no_relevant: Annotated[NoRelevant, _read(choice_of(NoRelevant))] = NoRelevant.EXCLUDE
    label_free: Flag = False

    @property
    def sources(self) -> tuple[str, ...]:
        """The collections, however many are named."""
        return self.source if isinstance(self.source, tuple) else () if self.source is None else (self.source,)


class ModelTable(_Table):
    """[model]: what makes the vectors, as the providers mean it."""

    name: MaybeText = None
    revision: MaybeText = None
    query_prompt: Annotated[str | None, _read(str)] = None
    document_prompt: Annotated[str | None, _read(str)] = None
    trust_remote_code: Flag = False
    base_url: MaybeText = None
    batch_size: MaybePositive = None
    max_length: MaybePositive = None
    fail_on_truncation: Flag = False
    device: MaybeText = None
    backend: Text = "torch"
    processes: Annotated[int, _read(parse_positive)] = 1
    verify_api: MaybePositive = None
    price_per_million: Annotated[float | None, _read(parse_number)] = None


class SweepTable(_Table):
    """[sweep]: which candidates are tried. `dims` is `"auto"`, `"every:N"` or sizes from large to small."""

    dims: Annotated[str | tuple[int, ...], _read(parse_dims)] = "auto"
    basis: Annotated[tuple[Basis, ...], _read(list_of(choice_of(Basis), ", "))] = (Basis.PREFIX,)
    index: Annotated[tuple[str, ...], _read(parse_indexes)] = ("Flat",)
    similarity: Annotated[Similarity, _read(choice_of(Similarity))] = Similarity.COSINE
    exclude_identical: Flag = False


class DecisionTable(_Table):
    """[decision]: when a size is acceptable. The first measure decides, those of `require` must pass as well.

    Queries with the same value of the field `cluster` count as one unit of evidence.
    """

    measures: Measures = (Measure("nDCG", 10), Measure("R", 10), Measure("R", 100))
    require: Measures = ()
    retain: Share = 0.98
    alpha: Annotated[float, _read(parse_level)] = 0.05
    decide_by: Annotated[DecideBy, _read(choice_of(DecideBy))] = DecideBy.BOUND
    cluster: MaybeText = None


class SlicesTable(_Table):
    """[slices]: fields of a query's metadata; with `slice_retain`, what each value of a declared field must keep."""

    slice: Texts = ()
    slice_retain: MaybeShare = None


class RunTable(_Table):
    """[run]: where things lie and how much of the machine may be used; sizes in bytes, None: decided where it is needed."""

    store: MaybePath = None
    store_dtype: Annotated[StoreDtype, _read(choice_of(StoreDtype))] = StoreDtype.FLOAT32
    out: MaybePath = None
    format: Annotated[Format, _read(choice_of(Format))] = Format.TEXT
    output: MaybePath = None
    run_files: Flag = False
    offline: Flag = False
    strict: Flag = False
    threads: MaybePositive = None
    max_memory: MaybeSize = None
    executor: Annotated[Executor, _read(choice_of(Executor))] = Executor.LOCAL


class GateTable(_Table):
    """[gate]: `dim` must be acceptable, or some size up to `max_dim`; with neither, the baseline's size, or some size below full.

    Against a `baseline` run, a proven loss of more than `max_regression` (a share of the earlier mean) fails.
    """

    dim: MaybePositive = None
    max_dim: MaybePositive = None
    on_inconclusive: Annotated[OnInconclusive, _read(choice_of(OnInconclusive))] = OnInconclusive.FAIL
    baseline: MaybePath = None
    baseline_optional: Flag = False
    max_regression: Annotated[float, _read(parse_loss)] = 0.01


class DeployTable(_Table):
    """[deploy]: what the deployed system is to be: funnels `SMALL:SHORTLIST:LARGE` to measure, budgets to meet (p99 in ms, index
    in GiB), corpus sizes to project to; `keep_indexes` keeps what was built beside the store.
    """

    funnel: Texts = ()
    budget_ms: Annotated[tuple[float, ...], _read(list_of(parse_number, ", "))] = ()
    budget_gib: Annotated[tuple[float, ...], _read(list_of(parse_number, ", "))] = ()
    project_docs: Annotated[tuple[int, ...], _read(list_of(parse_count, ", "))] = ()
    keep_indexes: Flag = False


class PlanTable(_Table):
    """[plan]: the planned corpus and what things cost, in the user's currency; sizes in bytes, prices per month."""

    docs: Annotated[int | None, _read(parse_count)] = None
    index: Annotated[tuple[str, ...], _read(parse_indexes)] = ()
    replicas: Annotated[int, _read(parse_positive)] = 1
    qps: Annotated[float | None, _read(parse_number)] = None
    price_gib_month: Annotated[float | None, _read(parse_number)] = None
    price_disk_gib_month: Annotated[float | None, _read(parse_number)] = None
    machine_memory: MaybeSize = None
    machine_price_month: Annotated[float | None, _read(parse_number)] = None
    headroom: Annotated[float, _read(parse_loss)] = 0.2
    documents_per_second: Annotated[float | None, _read(parse_number)] = None
    tokens_per_document: Annotated[float | None, _read(parse_number)] = None


class SweepConfig(_Table):
    """Everything a run needs to know, checked. `SweepConfig.of(...)` makes one in a notebook, `load_config` one from files."""

    collection: CollectionTable = CollectionTable()
    model: ModelTable = ModelTable()
    sweep: SweepTable = SweepTable()
    decision: DecisionTable = DecisionTable()
    slices: SlicesTable = SlicesTable()
    run: RunTable = RunTable()
    gate: GateTable = GateTable()
    deploy: DeployTable = DeployTable()
    plan: PlanTable = PlanTable()

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def of(cls, **settings: Any) -> Self:
        """The configuration by the options' names: `SweepConfig.of(collection="pydocs", model="wordllama", dims=[256, 64])`.

        Raises `InputError` for an unknown name or a value that is not accepted.
        """
        return cls._merged([flag_layer(settings, SETTINGS, spelled="{}=")])

    @property
    def origins(self) -> Mapping[str, str]:
        """Where each value that is not a default came from, by `table.key`: `--retain`, `MRL_SWEEP_RETAIN`, `sweep.toml:12`."""
        return MappingProxyType(self._origins)

    def settings(self) -> dict[str, Any]:
        """Every setting as a JSON-able value, by `table.key`. No secret is among them; a password in a URL is blanked."""
        return {f"{s.table}.{s.key}": _jsonable(getattr(getattr(self, s.table), s.key)) for s in SETTINGS}

    def each(self) -> tuple[Self, ...]:
        """A configuration for each collection, alike in all else."""
        return tuple(self.replaced("collection", "source", source) for source in self.collection.sources)

    def unless_given(self, table: str, key: str, value: Any) -> Self:
        """The same configuration with another default for one setting: a value that came from somewhere stays."""
        return self if f"{table}.{key}" in self._origins else self.replaced(table, key, value)

    def replaced(self, table: str, key: str, value: Any) -> Self:
        """The same configuration with another value of one setting, its origin kept."""
        changed = self.model_copy(update={table: getattr(self, table).model_copy(update={key: value})})
        changed._origins = dict(self._origins)
        return changed

    @classmethod
    def _merged(cls, layers: Sequence[Layer]) -> Self:
        values: dict[str, dict[str, Any]] = {}
        origins: dict[str, str] = {}
        for layer in layers:
            for setting, (value, origin) in layer.items():
                values.setdefault(setting.table, {})[setting.key] = value
                origins[f"{setting.table}.{setting.key}"] = origin
        try:
            config = cls.model_validate(values)
        except ValidationError as invalid:
            raise _input_error(invalid, origins) from None
        config._origins = origins
        return config.unless_given("decision", "measures", LABEL_FREE_MEASURES) if config.collection.label_free else config


FLAGS: Final[Mapping[str, str]] = {
    "collection.source": "collection",
    "model.name": "model",
    "decision.measures": "measure",
    "plan.index": "plan_index",
}
"""The options whose names differ from their keys; every other key is its option's name with `_` for `-`."""


def _settings() -> tuple[Setting, ...]:
    tables = {name: field.annotation for name, field in SweepConfig.model_fields.items()}
    return tuple(
        Setting(table=name, key=key, flag=FLAGS.get(f"{name}.{key}", key))
        for name, table in tables.items()
        if isinstance(table, type) and issubclass(table, BaseModel)
        for key in table.model_fields
    )


SETTINGS: Final = _settings()


def load_config(
    path: Path | None = None, flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> SweepConfig:
    """The configuration from flags > `MRL_SWEEP_*` > the TOML at `path` > `[tool.mrl-sweep]` in ./pyproject.toml > defaults.

    `flags` are by option name (`{"retain": "98%"}`), None or an empty list meaning "not given". Relative paths in a file are
    relative to that file's folder, those of flags and environment to the working folder. Raises `InputError` with file and key.
    """
    layers = [pyproject_layer(Path("pyproject.toml"), SETTINGS)]
    if path is not None:
        layers.append(toml_layer(path, SETTINGS))
    layers.append(environment_layer(os.environ if environ is None else environ, SETTINGS))
    layers.append(flag_layer(flags or {}, SETTINGS))
    return SweepConfig._merged(layers)


def as_config(config: SweepConfig | Path | str | None = None, **settings: Any) -> SweepConfig:
    """What `mrl_sweep.run` takes: a `SweepConfig` as it is, or the path of a TOML file, or nothing, with settings on top."""
    if isinstance(config, SweepConfig):
        if settings:
            raise InputError("a SweepConfig takes no further settings", "give them to SweepConfig.of(...)")
        return config
    return load_config(None if config is None else Path(config), settings) if config is not None else SweepConfig.of(**settings)


def _input_error(invalid: ValidationError, origins: Mapping[str, str]) -> InputError:
    """All that is wrong, one line each, in our words; the hint is that of the first."""
    faults = []
    for error in invalid.errors(include_url=False, include_input=False):
        key = ".".join(str(part) for part in error["loc"][:2])
        cause = error.get("ctx", {}).get("error")
        fault = cause.fault if isinstance(cause, _Refused) else InputError(error["msg"])
        origin = origins.get(key, "")
        where = (
            origin if origin.startswith(("--", "MRL_SWEEP_")) or origin.endswith("=") else f"{origin}: [{key.replace('.', '] ')}"
        )
        faults.append((f"{where}: {fault.message}".removeprefix(": "), fault.hint))
    if len(faults) == 1:
        return InputError(*faults[0])
    lines = [f"{message} ({hint})" if hint else message for message, hint in faults]
    return InputError("\n".join(lines), f"{len(lines)} settings to mend; `mrl-sweep config` shows all of them")


def _jsonable(value: Any) -> Any:
    """JSON's own types; the user part of a URL, which may hold a password, is blanked."""
    if isinstance(value, str) and "://" in value and "@" in value:
        return re.sub(r"(?<=://)[^/@]*@", "***@", value)
    if isinstance(value, tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, StrEnum | Measure | Path):
        return str(value)
    return value
