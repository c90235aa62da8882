"""Checks a model's folder before the model is opened: whether it gives one dense vector a text and is whole, and what is guessed.

Only the folder's files are read. Its content, not its name, decides which model it is (FAULTS 60).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from mrl_sweep.embedding.local.model_files import AGAIN, ModelFiles, refuse_missing_weights, refuse_pointers
from mrl_sweep.embedding.model_families import Prompts, json_in, read_json, saved_settings
from mrl_sweep.embedding.protocol import ModelOptions
from mrl_sweep.errors import InputError
from mrl_sweep.record import record
from mrl_sweep.types import Advice
from mrl_sweep.words import did_you_mean, first_offenders, printable


@record
class Module:
    """A module is one entry of modules.json: its class with its package, and its folder."""

    kind: str
    path: str

    @property
    def name(self) -> str:
        return self.kind.rpartition(".")[2]


@record
class ModelDescription:
    """Holds what a folder says of its model: `config` is config.json, `saved` what sentence-transformers wrote beside it."""

    name: str
    folder: Path
    config: Mapping[str, Any]
    saved: Mapping[str, Any]
    modules: tuple[Module, ...]

    @property
    def module_names(self) -> list[str]:
        return [module.name for module in self.modules]

    @property
    def architectures(self) -> list[str]:
        return [str(one) for one in self.config.get("architectures") or ()]

    def config_of(self, module: Module) -> dict[str, Any]:
        return read_json(self.folder / module.path / "config.json")


def look_at(files: ModelFiles, options: ModelOptions, prompts: Prompts) -> tuple[dict[str, Any], tuple[Advice, ...]]:
    """Checks a model's folder; returns its modules and routes for the report, and advice on what is guessed, quantised or unused.

    Raises InputError for rerankers, sparse and multi-vector models, pointers, missing parts, and what does not fit.
    """
    folder = files.folder
    refuse_pointers(folder)
    _refuse_broken_descriptions(folder)
    model = ModelDescription(files.name, folder, read_json(folder / "config.json"), saved_settings(folder), modules_of(folder))
    _refuse_other_kinds(model)
    _refuse_heads(model)
    _refuse_no_pooling(model)
    _refuse_misfit(model)
    _refuse_length(model, options)
    _refuse_other_prompts(model, options)
    if files.repository is None:  # the hub's are fetched when the model is opened
        refuse_missing_weights(folder, options.backend, model.module_names)
    routes = _routes(model)
    details = {"modules": model.module_names} | ({"routes": routes} if routes else {})
    return details, (*_guessed_pooling(model), *_quantised(model), *_unused_prompts(model, prompts))


def modules_of(folder: Path) -> tuple[Module, ...]:
    """Reads the modules that modules.json lists; () where there is no such list."""
    listed = json_in(folder / "modules.json")
    entries = listed if isinstance(listed, list) else []
    if not all(isinstance(entry, dict) and "type" in entry for entry in entries):
        return ()
    return tuple(Module(str(entry["type"]), str(entry.get("path", ""))) for entry in entries)


def _refuse_broken_descriptions(folder: Path) -> None:
    """Refuses files that say what the model is and cannot be read: the libraries would name another cause."""
    for file, kind in (("config.json", dict), ("modules.json", list), ("config_sentence_transformers.json", dict)):
        path = folder / file
        if not path.is_file():
            continue
        held = json_in(path)
        if not isinstance(held, kind):
            raise InputError(f"{path} holds no JSON {'list' if kind is list else 'object'}", "download the folder again, whole")
        if held == []:
            raise InputError(f"{path} lists no modules", "remove it to have mean pooling guessed, or download the folder again")


_LATE: Final = re.compile(r"(?:hf_)?col(?:bert|pali|qwen|smol|idefics|modern)", re.I)


def _refuse_other_kinds(model: ModelDescription) -> None:
    """Refuses models that make no dense vector of a text, or more than one, and those that would be opened as something else."""
    declared = f"{model.saved.get('model_type', '')} {' '.join(module.kind for module in model.modules)}".lower()
    squeezed = declared.replace("_", "")
    classifier = not model.modules and any("SequenceClassification" in one for one in model.architectures)
    if "crossencoder" in squeezed or classifier:
        raise InputError(
            f"{model.name} is a reranker: it scores pairs of texts and makes no vectors",
            "take an embedding model; a reranker can only order what that has found",
        )
    late = str(model.saved.get("similarity_fn_name", "")).lower() == "maxsim" or any(map(_LATE.match, model.architectures))
    if late or "pylate" in declared or "multivector" in squeezed or "colbert" in declared:
        raise InputError(
            f"{model.name} is a multi-vector (late-interaction) model: it makes a vector for every token",
            "take a model of one vector a text; the size of a multi-vector index is another question",
        )
    both = {"text_config", "vision_config", "audio_config"} & model.config.keys()
    if not model.modules and len(both) > 1:
        what = "images" if "vision_config" in both else "sounds"
        raise InputError(
            f"{model.name} is a model of {what} and texts without modules.json, which would say how its texts become vectors",
            "take its sentence-transformers version, as clip-ViT-B-32",
        )
    if "sparse" in declared or "splade" in declared:
        raise InputError(
            f"{model.name} is a sparse model: its vectors have a number for every word", "take a dense embedding model"
        )
    if not model.modules and (model.config.get("model_type") == "model2vec" or "StaticModel" in model.architectures):
        raise InputError(
            f"{model.name} is a model2vec model without modules.json, by which it would be opened",
            f'python -c "from sentence_transformers import SentenceTransformer as S, models as m; '
            f"S(modules=[m.StaticEmbedding.from_model2vec('{model.folder}')]).save('OTHER')\"; then --model OTHER",
        )


_HEAD: Final = re.compile(r"(\d+)_Dense_(\d+)")


def _refuse_heads(model: ModelDescription) -> None:
    """Refuses dense layers side by side, one a size: what the small one gives is no prefix of what the large one gives."""
    heads = [match for path in model.folder.iterdir() if (match := _HEAD.fullmatch(path.name)) and path.is_dir()]
    listed = {module.path for module in model.modules}
    if len({match[1] for match in heads}) < len(heads) and any(match[0] not in listed for match in heads):
        sizes = ", ".join(sorted((match[2] for match in heads), key=int))
        raise InputError(
            f"{model.name} cannot be cut: it has a head of its own for each size ({sizes}), and separate heads are no prefixes",
            "choose a model trained with Matryoshka prefixes, or compare its heads as models of their own",
        )


_TOKEN_LEVEL: Final = frozenset({"Transformer", "Dense", "Normalize", "LayerNorm", "Dropout", "WordWeights"})
"""Modules that leave one vector a token where nothing pools them."""


def _refuse_no_pooling(model: ModelDescription) -> None:
    own = all(module.kind.startswith("sentence_transformers.") for module in model.modules)
    if model.modules and own and set(model.module_names) <= _TOKEN_LEVEL:
        raise InputError(
            f"{model.name} makes a vector for every token: of its modules {', '.join(model.module_names)} none pools",
            "add the Pooling module of the model's card to modules.json, or remove modules.json to have mean pooling guessed",
        )


_NEED_CONFIG: Final = ("Pooling", "Dense", "WeightedLayerPooling", "CNN", "LSTM")
_SIZES: Final = ("hidden_size", "d_model", "dim", "n_embd")


def _refuse_misfit(model: ModelDescription) -> None:
    """Refuses a module without its configuration, and one that takes vectors of another size than the one before gives."""
    size: int | None = None
    before = ""
    for module in model.modules:
        kind, path, config = module.name, module.path, model.config_of(module)
        if kind in _NEED_CONFIG and not config:
            raise InputError(f"{model.name}: modules.json names {path or kind}, and {path or '.'}/config.json is missing", AGAIN)
        if kind == "Transformer":
            size = next((config[key] for key in _SIZES if isinstance(config.get(key), int)), None)
        wanted = config.get("word_embedding_dimension" if kind == "Pooling" else "in_features")
        if size is not None and isinstance(wanted, int) and wanted != size and kind in ("Pooling", "Dense"):
            raise InputError(
                f"{model.name}: its parts do not fit each other: {before} gives {size} dimensions, {path} takes {wanted}",
                f"these files come from two models; {AGAIN}",
            )
        if kind == "Pooling" and isinstance(wanted, int):
            size = wanted * max(1, sum(value is True for key, value in config.items() if key.startswith("pooling_mode_")))
        elif kind == "Dense":
            size = config["out_features"] if isinstance(config.get("out_features"), int) else None
        before = path or kind


def _refuse_length(model: ModelDescription, options: ModelOptions) -> None:
    positions = model.config.get("max_position_embeddings")
    if options.max_length is not None and isinstance(positions, int) and options.max_length > positions > 0:
        raise InputError(
            f"--max-length {options.max_length}: {model.name} has {positions} positions",
            f"--max-length {positions}, or leave it out",
        )


def _refuse_other_prompts(model: ModelDescription, options: ModelOptions) -> None:
    """Refuses saved prompts that are no texts, and a misspelt name of one: the name itself would stand before each text."""
    name, own, default = model.name, model.saved.get("prompts") or {}, model.saved.get("default_prompt_name")
    if not isinstance(own, Mapping) or not all(text is None or isinstance(text, str) for text in own.values()):
        raise InputError(
            f"{name}: the prompts in config_sentence_transformers.json are no texts by name", "remove them there, or mend them"
        )
    if default is not None and default not in own and default not in ("query", "document"):
        raise InputError(
            f"{name}: config_sentence_transformers.json has no prompt {printable(str(default), 60)}, its default",
            "remove default_prompt_name from that file, or mend it",
        )
    for option, given in (("--query-prompt", options.query_prompt), ("--document-prompt", options.document_prompt)):
        if given and given not in own and re.fullmatch(r"[\w.-]+", given):
            meant = did_you_mean(given, map(str, own), spelt=lambda prompt, option=option: f"{option} {prompt}")  # type: ignore[misc]
            if meant:
                raise InputError(f"{name} has no prompt named {given}", meant)


def _guessed_pooling(model: ModelDescription) -> Iterator[Advice]:
    for module in model.modules:
        settings = model.config_of(module)
        chosen = settings.get("pooling_mode") or any(v is True for k, v in settings.items() if k.startswith("pooling_mode_"))
        if module.name == "Pooling" and settings and not chosen:
            yield Advice(
                "pooling-guessed",
                f"{model.name}: {module.path}/config.json names no way of pooling: the mean over its tokens is guessed",
                "take the pooling of the model's card",
            )
    if model.modules:
        return
    # `BertForQuestionAnswering`, unlike `BertModel`, says another task than embedding
    task = next((name for name in model.architectures if re.search(r"For(?!MaskedLM|FeatureExtraction)[A-Z]", name)), "")
    if task:
        yield Advice(
            "pooling-guessed",
            f"{model.name} is a {task} without modules.json, for another task: the mean over its tokens is guessed",
            "take an embedding model, or the sentence-transformers version of this one",
        )
    else:
        yield Advice(
            "pooling-guessed",
            f"{model.name} has no modules.json: the mean over its tokens is guessed, which is wrong for models that read the "
            "first token or the last",
            "take its sentence-transformers version, or save it as one with the pooling of its card",
        )


def _quantised(model: ModelDescription) -> Iterator[Advice]:
    """Yields advice on weights that were saved in few bits: the vectors of this form are measured.

    Raises InputError for a form that torch does not read.
    """
    settings = model.config.get("quantization_config")
    if isinstance(model.config.get("quantization"), Mapping) and settings is None:
        raise InputError(f"{model.name} was saved for MLX, which packs its weights", "take the model that it was made from")
    if not isinstance(settings, Mapping):
        return
    bits = settings.get("bits") or (4 if settings.get("load_in_4bit") else None)
    form = [str(settings.get("quant_method") or "an unnamed method"), *([f"{bits} bits"] if isinstance(bits, int) else [])]
    yield Advice(
        "quantised-weights",
        f"{model.name} was saved with quantised weights ({', '.join(form)}): that form of it is measured",
        "its full weights may keep more at small sizes; measure the form that will be deployed",
    )


def _unused_prompts(model: ModelDescription, prompts: Prompts) -> Iterator[Advice]:
    own = model.saved.get("prompts") or {}
    named = [str(key) for key, text in own.items() if text]
    if named and prompts.origin == "none" and not model.saved.get("default_prompt_name"):
        guess = next((key for key in named if "query" in key.lower()), named[0])
        yield Advice(
            "prompts-not-used",
            f"{model.name} has the prompts {first_offenders(named)}, which are applied to nothing",
            f"--query-prompt {guess} applies one to queries, --document-prompt NAME one to documents",
        )


def _routes(model: ModelDescription) -> list[str]:
    """Returns an asymmetric model's routes by name: encode_query and encode_document take those of their own names."""
    for module in model.modules:
        if module.name in ("Router", "Asym"):
            for file in ("router_config.json", "config.json"):
                structure = read_json(model.folder / module.path / file)
                routes = structure.get("structure") or structure.get("route_mappings") or {}
                if isinstance(routes, Mapping) and routes:
                    return list(map(str, routes))
    return []
