"""One look at a model's folder before it is used, and what the libraries raise over it as faults of ours that say what to do.

Does it give one dense vector a text, and what of it is guessed? Which model it is, its content decides (FAULTS 60).
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mrl_sweep.embedding.local.model_files import (
    ModelFiles,
    cannot_load,
    quantised,
    refuse_misfit,
    refuse_missing_weights,
)
from mrl_sweep.embedding.model_families import Prompts, json_in, read_json, saved_settings
from mrl_sweep.embedding.protocol import ModelOptions
from mrl_sweep.errors import EnvironmentFault, InputError, MrlSweepError
from mrl_sweep.files import LFS_POINTER
from mrl_sweep.types import Advice
from mrl_sweep.words import did_you_mean, first_offenders, printable

_LARGE: Final = frozenset({".safetensors", ".bin", ".onnx", ".model", ".json", ".h5", ".pt", ".gguf", ".npy", ".npz"})
_HEAD: Final = re.compile(r"(\d+)_Dense_(\d+)")
_LATE: Final = re.compile(r"(?:hf_)?col(?:bert|pali|qwen|smol|idefics|modern)", re.I)
_TOKEN_LEVEL: Final = frozenset({"Transformer", "Dense", "Normalize", "LayerNorm", "Dropout", "WordWeights"})
"""Modules that leave one vector a token where nothing pools them."""


@dataclass(frozen=True, slots=True)
class Module:
    """One entry of modules.json: its class with its package, and its folder."""

    kind: str
    path: str

    @property
    def name(self) -> str:
        return self.kind.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """What a folder says of its model: `modules` in order, `routes` of an asymmetric one, and what to tell of it."""

    modules: tuple[Module, ...]
    routes: tuple[str, ...]
    advice: tuple[Advice, ...]

    def details(self) -> dict[str, Any]:
        """For the report."""
        entries: dict[str, Any] = {"modules": [module.name for module in self.modules]}
        return entries | ({"routes": list(self.routes)} if self.routes else {})


def look_at(files: ModelFiles, options: ModelOptions, prompts: Prompts) -> FolderFacts:
    """What the folder holds. Raises InputError for rerankers, sparse and multi-vector models, pointers, and what does not fit."""
    folder, name = files.folder, files.name
    _refuse_pointers(folder)
    _refuse_broken_descriptions(folder)
    config, saved = read_json(folder / "config.json"), saved_settings(folder)
    modules = modules_of(folder)
    _refuse_other_kinds(name, config, saved, modules)
    _refuse_static_without_modules(files, config, modules)
    _refuse_heads(name, folder, modules)
    _refuse_no_pooling(name, modules)
    refuse_misfit(name, folder, [(module.name, module.path) for module in modules])
    _refuse_length(name, config, options)
    _refuse_other_prompts(name, saved, options)
    if files.repository is None:  # the hub's are fetched when the model is opened
        refuse_missing_weights(folder, options.backend, [module.name for module in modules])
    advice = (*_guessed_pooling(name, folder, config, modules), *quantised(name, config), *_unused_prompts(name, saved, prompts))
    return FolderFacts(modules, _routes(folder, modules), advice)


def _refuse_broken_descriptions(folder: Path) -> None:
    """Files that say what the model is, and cannot be read: what the libraries make of them would name another cause."""
    for file in ("config.json", "modules.json", "config_sentence_transformers.json"):
        path, kind = folder / file, list if file == "modules.json" else dict
        if not path.is_file():
            continue
        held = json_in(path)
        if not isinstance(held, kind):
            raise InputError(f"{path} holds no JSON {'list' if kind is list else 'object'}", "download the folder again, whole")
        if held == []:
            raise InputError(f"{path} lists no modules", "remove it to have mean pooling guessed, or download the folder again")


def _refuse_other_prompts(name: str, saved: Mapping[str, Any], options: ModelOptions) -> None:
    """Saved prompts that are none, and a name that nearly is one of theirs, which would stand before each text itself."""
    own = saved.get("prompts") or {}
    if not isinstance(own, Mapping) or not all(text is None or isinstance(text, str) for text in own.values()):
        raise InputError(
            f"{name}: the prompts in config_sentence_transformers.json are no texts by name", "remove them there, or mend them"
        )
    default = saved.get("default_prompt_name")
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


def modules_of(folder: Path) -> tuple[Module, ...]:
    """The modules that modules.json lists; none where there is no such list."""
    listed = json_in(folder / "modules.json")
    entries = listed if isinstance(listed, list) else []
    if not all(isinstance(entry, dict) and "type" in entry for entry in entries):
        return ()
    return tuple(Module(str(entry["type"]), str(entry.get("path", ""))) for entry in entries)


def _refuse_pointers(folder: Path) -> None:
    """Git without its large file storage leaves small texts where the weights should be."""
    pointers = [path for path in sorted(folder.rglob("*")) if path.suffix in _LARGE and is_lfs_pointer(path)]
    if pointers:
        names = first_offenders([path.relative_to(folder).as_posix() for path in pointers])
        raise InputError(f"{folder}: Git LFS pointers stand in place of {names}", f"git -C {folder} lfs pull")


def is_lfs_pointer(path: Path) -> bool:
    """Whether the file is the text that Git keeps in place of a large file."""
    try:
        if not path.is_file() or path.stat().st_size > 1024:
            return False
        with path.open("rb") as file:
            return file.read(len(LFS_POINTER)) == LFS_POINTER
    except OSError:
        return False


def _refuse_other_kinds(name: str, config: Mapping[str, Any], saved: Mapping[str, Any], modules: tuple[Module, ...]) -> None:
    """Models whose answer to a text is no vector, or more than one."""
    declared = f"{saved.get('model_type', '')} {' '.join(module.kind for module in modules)}".lower()
    architectures = [str(one) for one in config.get("architectures") or ()]
    classifier = not modules and any("SequenceClassification" in one for one in architectures)
    if "crossencoder" in declared.replace("_", "") or classifier:
        raise InputError(
            f"{name} is a reranker: it scores pairs of texts and makes no vectors",
            "take an embedding model; a reranker can only order what that has found",
        )
    late = str(saved.get("similarity_fn_name", "")).lower() == "maxsim" or any(_LATE.match(one) for one in architectures)
    if late or "pylate" in declared or "multivector" in declared.replace("_", "") or "colbert" in declared:
        raise InputError(
            f"{name} is a multi-vector (late-interaction) model: it makes a vector for every token",
            "take a model of one vector a text; the size of a multi-vector index is another question",
        )
    both = sorted({"text_config", "vision_config", "audio_config"} & config.keys())
    if not modules and len(both) > 1:
        what = "images" if "vision_config" in both else "sounds"
        raise InputError(
            f"{name} is a model of {what} and texts without modules.json, which would say how its texts become vectors",
            "take its sentence-transformers version, as clip-ViT-B-32",
        )
    if "sparse" in declared or "splade" in declared:
        raise InputError(f"{name} is a sparse model: its vectors have a number for every word", "take a dense embedding model")


def _refuse_static_without_modules(files: ModelFiles, config: Mapping[str, Any], modules: tuple[Module, ...]) -> None:
    static = str(config.get("model_type", "")) == "model2vec" or "StaticModel" in (config.get("architectures") or ())
    if static and not modules:
        raise InputError(
            f"{files.name} is a model2vec model without modules.json, by which it would be opened",
            f'python -c "from sentence_transformers import SentenceTransformer as S, models as m; '
            f"S(modules=[m.StaticEmbedding.from_model2vec('{files.folder}')]).save('OTHER')\"; then --model OTHER",
        )


def _refuse_heads(name: str, folder: Path, modules: tuple[Module, ...]) -> None:
    """Several dense layers side by side, one a size: what the small one gives is no prefix of what the large one gives."""
    heads = [match for path in folder.iterdir() if (match := _HEAD.fullmatch(path.name)) and path.is_dir()]
    listed = {module.path for module in modules}
    places = {match[1] for match in heads}
    beside = [match[2] for match in heads if match[0] not in listed]
    if len(heads) > 1 and len(places) < len(heads) and beside:
        sizes = ", ".join(sorted((match[2] for match in heads), key=int))
        raise InputError(
            f"{name} cannot be cut: it has a head of its own for each size ({sizes}), and separate heads are no prefixes",
            "choose a model trained with Matryoshka prefixes, or compare its heads as models of their own",
        )


def _refuse_no_pooling(name: str, modules: tuple[Module, ...]) -> None:
    own = [module for module in modules if module.kind.startswith("sentence_transformers.")]
    if modules and len(own) == len(modules) and {module.name for module in modules} <= _TOKEN_LEVEL:
        raise InputError(
            f"{name} makes a vector for every token: of its modules {', '.join(module.name for module in modules)} none pools",
            "add the Pooling module of the model's card to modules.json, or remove modules.json to have mean pooling guessed",
        )


def _refuse_length(name: str, config: Mapping[str, Any], options: ModelOptions) -> None:
    positions = config.get("max_position_embeddings")
    if options.max_length is not None and isinstance(positions, int) and options.max_length > positions > 0:
        raise InputError(
            f"--max-length {options.max_length}: {name} has {positions} positions", f"--max-length {positions}, or leave it out"
        )


def _guessed_pooling(name: str, folder: Path, config: Mapping[str, Any], modules: tuple[Module, ...]) -> Iterator[Advice]:
    for module in modules:
        settings = read_json(folder / module.path / "config.json")
        chosen = settings.get("pooling_mode") or any(v is True for k, v in settings.items() if k.startswith("pooling_mode_"))
        if module.name == "Pooling" and settings and not chosen:
            yield Advice(
                "pooling-guessed",
                f"{name}: {module.path}/config.json names no way of pooling: the mean over its tokens is guessed",
                "take the pooling of the model's card",
            )
    if not modules and (task := _other_task(config)):
        yield Advice(
            "pooling-guessed",
            f"{name} is a {task} without modules.json, for another task: the mean over its tokens is guessed",
            "take an embedding model, or the sentence-transformers version of this one",
        )
    elif not modules:
        yield Advice(
            "pooling-guessed",
            f"{name} has no modules.json: the mean over its tokens is guessed, which is wrong for models that read the first "
            "token or the last",
            "take its sentence-transformers version, or save it as one with the pooling of its card",
        )


def _other_task(config: Mapping[str, Any]) -> str:
    """The architecture where it says another task than embedding: `BertForQuestionAnswering`; "" for a bare model."""
    names = [str(name) for name in config.get("architectures") or ()]
    return next((name for name in names if re.search(r"For(?!MaskedLM|FeatureExtraction)[A-Z]", name)), "")


def _unused_prompts(name: str, saved: Mapping[str, Any], prompts: Prompts) -> Iterator[Advice]:
    own = saved.get("prompts")
    named = [str(key) for key, text in own.items() if text] if isinstance(own, Mapping) else []
    if named and prompts.origin == "none" and not saved.get("default_prompt_name"):
        guess = next((key for key in named if "query" in key.lower()), named[0])
        yield Advice(
            "prompts-not-used",
            f"{name} has the prompts {first_offenders(named)}, which are applied to nothing",
            f"--query-prompt {guess} applies one to queries, --document-prompt NAME one to documents",
        )


def _routes(folder: Path, modules: tuple[Module, ...]) -> tuple[str, ...]:
    """The names of an asymmetric model's routes: encode_query and encode_document take those of their own names."""
    for module in modules:
        if module.name in ("Router", "Asym"):
            for file in ("router_config.json", "config.json"):
                structure = read_json(folder / module.path / file)
                routes = structure.get("structure") or structure.get("route_mappings") or {}
                if isinstance(routes, Mapping) and routes:
                    return tuple(map(str, routes))
    return ()


@contextlib.contextmanager
def load_faults(files: ModelFiles, options: ModelOptions) -> Iterator[None]:
    """Whatever the libraries raise while they load, as a fault of ours that says what to do."""
    try:
        yield
    except OSError as error:
        fault = cannot_load(files.name, _first_line(error))
        raise fault if files.repository else EnvironmentFault(fault.message, _what_to_do(str(error))) from error
    except MrlSweepError:
        raise
    except Exception as error:
        reason = _first_line(error)
        if "trust_remote_code" in str(error):
            raise InputError(
                f"{files.name} needs code from its repository to run",
                "read that code, then pass --trust-remote-code with --revision COMMIT",
            ) from error
        if options.backend != "torch" and ("install" in reason or isinstance(error, ImportError)):
            raise EnvironmentFault(
                f"cannot load {files.name} with --backend {options.backend}: {reason}",
                f"pip install 'sentence-transformers[{options.backend}]'",
            ) from error
        raise EnvironmentFault(f"cannot load the model {files.name}: {reason}", _what_to_do(str(error))) from error


def _what_to_do(said: str) -> str:
    """What may help where a library could not load a model, by what it said."""
    if re.search(r"out of date|not recogni[sz]e|does not define|No module named|requires .{0,40}(?:version|upgrade)", said):
        return "pip install -U sentence-transformers transformers: its files may be of a later release than those here"
    if re.search(r"feature extractor|image processor|processing class", said):
        return "is it a model of texts? It has no tokenizer, or its description is of another kind"
    if re.search(r"CUDA|cuda|MPS|\bmps\b|device", said):
        return "--device cpu"
    return "are its files whole? download the folder again"


@contextlib.contextmanager
def whole_weights(name: str) -> Iterator[None]:
    """Raises InputError where transformers reports that it made up weights which the files lack: vectors would be random.

    A pooler is no such weight: nothing reads what it gives.
    """
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("transformers.modeling_utils")
    before = (logger.level, logger.propagate)
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
    text = "\n".join(said)
    listed = re.findall(r"^\s*(\S.*?)\s*\|\s*(?:\x1b\[[\d;]*m)?MISSING", text, re.MULTILINE)
    elder = re.search(r"newly initialized: \[([^\]]*)\]", text)
    listed += re.findall(r"'([^']+)'", elder[1]) if elder else []
    missing = [weight for weight in listed if "pooler" not in weight]
    if missing:
        raise InputError(
            f"{name}: its files lack weights of the model, which would be random: {first_offenders(sorted(missing), limit=3)}",
            "download the folder again, whole; else its config.json describes another model than its weights",
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was short: torch's own error by its name, for older backends raise a RuntimeError that only says so."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or "out of memory" in str(error).lower()


def cannot_encode(name: str, error: Exception) -> MrlSweepError:
    """What a library raised over a text, as a fault of ours that names its cause."""
    if isinstance(error, MrlSweepError):
        return error
    if is_out_of_memory(error):
        return EnvironmentFault(
            f"{name}: not enough memory to encode even one text", "--device cpu, or --max-length N to read less of each text"
        )
    if isinstance(error, IndexError):
        return InputError(
            f"{name} cannot encode a text: it has fewer positions or words than the text needs ({_first_line(error)})",
            "--max-length 512, or what the model's card says; else its tokenizer and its weights do not belong together",
        )
    kind = type(error).__name__
    return EnvironmentFault(
        f"{name} failed while encoding: {kind}: {_first_line(error)}",
        "--device cpu, --batch-size 1 or --max-length N may avoid it",
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
