"""Finds a model's files by its name, in a folder or in a snapshot of the Hugging Face hub, and checks that they are whole."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from mrl_sweep.embedding.model_families import Family, family_of, read_json
from mrl_sweep.embedding.protocol import ModelOptions
from mrl_sweep.errors import EnvironmentFault, InputError
from mrl_sweep.files import LFS_POINTER, is_there
from mrl_sweep.record import record
from mrl_sweep.words import first_offenders, printable

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")
_SMALL_FILES: Final = ["*.json", "*.txt", "*.md", "*.py", "*.model", "*.jinja"]
_WEIGHTLESS: Final = frozenset({".md", ".lock", ".png", ".jpg", ".pdf"})


@record
class ModelFiles:
    """Says where a model's files lie: in a user's `folder`, or in the snapshot of `repository` at `commit` in the local cache."""

    name: str
    folder: Path
    repository: str | None = None
    commit: str | None = None


def find_model(name: str, options: ModelOptions) -> ModelFiles:
    """Finds the files of a folder or of a name on the Hugging Face hub; small ones are fetched where the cache has none.

    A branch stays at the commit that the cache has: a model does not change within a project unless its revision is asked for.
    Raises InputError (no such folder, name or revision; gated), EnvironmentFault (the hub cannot be reached).
    """
    path = Path(name).expanduser()
    if name and is_there(path):
        if not path.is_dir():
            raise _a_file(path)
        if not _describes_a_model(path):
            raise _no_model(path)
        folder = path.resolve()
        return ModelFiles(folder.name if folder.name != "model" else f"{folder.parent.name}/model", folder)
    inner = re.sub(r"^https?://(?:huggingface\.co|hf\.co)/|/(?:tree/[^/]+)?/?$", "", name)
    if inner != name and _REPOSITORY.fullmatch(inner):
        raise InputError(f"{printable(name, 120)} is an address, not a model's name", f"--model {inner}")
    if not _REPOSITORY.fullmatch(name):
        raise InputError(f"{name[:120]!r} is neither a folder nor a model's name", "--model FOLDER or --model owner/name")
    repositories = [name] if "/" in name else [f"sentence-transformers/{name}", name]
    for repository in repositories:
        snapshot = _cached(repository, options.revision)
        if snapshot is not None:
            return ModelFiles(name, snapshot, repository, snapshot.name)
    if options.offline:
        raise cannot_load(name, "it is not in the local cache, and --offline forbids the network")
    return _fetch(name, repositories, options.revision)


def cannot_load(name: str, reason: str) -> EnvironmentFault:
    """Makes the fault of a model that cannot be loaded or downloaded."""
    return EnvironmentFault(
        f"cannot load the model {name}: {reason}",
        "--model PATH takes a folder with the model's files; or connect once, later runs need no network",
    )


def model_files(folder: Path, backend: str) -> list[Path]:
    """Lists the files that decide a model's vectors: all but hidden ones, READMEs, images and other backends' weights."""
    others = {"onnx", "openvino"} - {backend}
    paths = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
        if not hidden and parts[0] not in others and path.suffix.lower() not in _WEIGHTLESS and path.is_file():
            paths.append(path)
    return paths


def family_of_files(files: ModelFiles) -> Family | None:
    """Finds the model's family by its name, else by the name of the model that it was made from."""
    config = read_json(files.folder / "config.json")
    names = [files.repository or files.name, *re.findall(r"models--(.+?)/", files.folder.as_posix() + "/")]
    return family_of(*names, str(config.get("_name_or_path", "")))


def foreign_code(files: ModelFiles) -> str | None:
    """Names other repositories from which the model's configuration takes code; None without any."""
    mapped = read_json(files.folder / "config.json").get("auto_map") or {}
    sources = {str(value).split("--")[0] for value in mapped.values() if "--" in str(value)} - {files.repository}
    return ", ".join(sorted(sources)) or None


def pinned(revision: str | None) -> bool:
    """Tells whether the revision is a commit: branches and tags can be moved."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def hub_cache() -> Path:
    """Returns the folder in which sentence-transformers and huggingface_hub keep what they downloaded."""
    for variable in ("SENTENCE_TRANSFORMERS_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return Path(os.environ[variable]).expanduser()
    home = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")  # noqa: PTH118
    return Path(home).expanduser() / "hub"


def _describes_a_model(folder: Path) -> bool:
    return (folder / "modules.json").is_file() or (folder / "config.json").is_file()


def _cached(repository: str, revision: str | None) -> Path | None:
    """Returns the snapshot in the cache, without huggingface_hub: its import takes a tenth of a second."""
    base = hub_cache() / f"models--{repository.replace('/', '--')}"
    commit = revision if pinned(revision) else _read_ref(base / "refs" / (revision or "main"))
    folder = base / "snapshots" / commit if commit else None
    return folder if folder and _describes_a_model(folder) else None


def _read_ref(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None


def _fetch(name: str, repositories: Sequence[str], revision: str | None) -> ModelFiles:
    """Asks the hub which commit the name stands for, and gets the files that tell a model's prompts and sizes."""
    from huggingface_hub import HfApi, errors, snapshot_download

    unknown: Exception | None = None
    for repository in repositories:
        try:
            HfApi().model_info(repository, revision=revision, timeout=20)
            cache = os.environ.get("SENTENCE_TRANSFORMERS_HOME")
            folder = snapshot_download(repository, revision=revision, allow_patterns=_SMALL_FILES, cache_dir=cache)
            return ModelFiles(name, Path(folder), repository, Path(folder).name)
        except errors.GatedRepoError as error:
            raise InputError(f"{repository} is gated: its licence has to be accepted first", "hf auth login") from error
        except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
            unknown = error
        except errors.RevisionNotFoundError as error:
            raise InputError(f"{repository} has no revision {revision!r}", "--revision COMMIT") from error
        except errors.HfHubHTTPError as error:
            raise cannot_load(name, str(error).splitlines()[0]) from error
        except Exception as error:
            raise cannot_load(name, f"it is not in the local cache and the hub cannot be reached ({error})") from error
    raise InputError(f"there is no model {name} (or it is private)", "--model FOLDER or --model owner/name") from unknown


AGAIN: Final = "download the folder again, whole"
"""What to do where a file is missing or cut off."""


def _no_model(folder: Path) -> InputError:
    """Makes the error of a folder without modules.json and config.json: why it cannot be opened, and what to type instead."""
    if (folder / "adapter_config.json").is_file():
        return _adapter(folder)
    if gguf := [path for path in _files(folder) if path.suffix == ".gguf"]:
        return _gguf(folder, gguf[0])
    inner = [path.parent for name in ("modules.json", "config.json") for path in sorted(folder.glob(f"*/{name}"))]
    inner += [path.parent for path in sorted(folder.glob("snapshots/*/config.json"))]
    if inner:
        return InputError(f"{folder} holds no model itself, but {inner[0].relative_to(folder)} does", f"--model {inner[0]}")
    if (folder / "tokenizer.json").is_file() or (folder / "tokenizer_config.json").is_file():
        return InputError(f"{folder} holds a tokenizer and no model: neither modules.json nor config.json", AGAIN)
    return InputError(f"{folder} holds no model: neither modules.json nor config.json", "--model FOLDER of a saved model")


def _a_file(path: Path) -> InputError:
    """Makes the error of a file in place of a model, and what to type: its folder, a server, or vectors that exist already."""
    if path.suffix == ".gguf":
        return _gguf(path.parent, path)
    if path.suffix in (".npy", ".npz", ".parquet", ".fvecs", ".jsonl", ".csv"):
        return InputError(
            f"{path} is a file of data, not a model", f"--model vectors:{path.parent} takes vectors that exist already"
        )
    return InputError(f"{path} is a file, and a model is a folder", f"--model {path.parent}")


_LARGE: Final = frozenset({".safetensors", ".bin", ".onnx", ".model", ".json", ".h5", ".pt", ".gguf", ".npy", ".npz"})


def refuse_pointers(folder: Path) -> None:
    """Raises InputError for the small texts that Git without its large file storage leaves in place of weights."""
    pointers = [path for path in sorted(folder.rglob("*")) if path.suffix in _LARGE and _is_pointer(path)]
    if pointers:
        names = first_offenders([path.relative_to(folder).as_posix() for path in pointers])
        raise InputError(f"{folder}: Git LFS pointers stand in place of {names}", f"git -C {folder} lfs pull")


def _is_pointer(path: Path) -> bool:
    try:
        if not path.is_file() or path.stat().st_size > 1024:
            return False
        return path.read_bytes().startswith(LFS_POINTER)
    except OSError:
        return False


_OF_BACKEND: Final = {"torch": {".safetensors", ".bin"}, "onnx": {".onnx"}, "openvino": {".xml"}}
_OF_OTHERS: Final = {
    ".h5": "TensorFlow",
    ".msgpack": "Flax",
    ".ot": "Rust",
    ".pt": "a training checkpoint",
    ".ckpt": "a training checkpoint",
    ".pb": "TensorFlow",
    ".tflite": "LiteRT",
    ".mlmodel": "Core ML",
    ".mlpackage": "Core ML",
    ".engine": "TensorRT",
    ".plan": "TensorRT",
    ".npz": "MLX or JAX",
}


def refuse_missing_weights(folder: Path, backend: str, modules: Sequence[str]) -> None:
    """Raises InputError where the folder describes a model and lacks what the backend would read of it."""
    if modules and not {"Transformer", "StaticEmbedding", "CLIPModel"} & set(modules):
        return
    files = _files(folder)
    endings = {path.suffix for path in files}
    _refuse_missing_shards(folder)
    for path in files:
        if path.suffix == ".safetensors":
            _refuse_torn(path)
    if (folder / "adapter_config.json").is_file():
        raise _adapter(folder)
    if backend != "torch" or endings & _OF_BACKEND["torch"]:  # sentence-transformers makes other backends' files from torch's
        _refuse_no_tokenizer(folder, files)
        return
    for other in ("onnx", "openvino"):
        if endings & _OF_BACKEND[other]:
            raise InputError(f"{folder} holds weights for {other} only", f"--backend {other}")
    if gguf := [path for path in files if path.suffix == ".gguf"]:
        raise _gguf(folder, gguf[0])
    if others := sorted({_OF_OTHERS[ending] for ending in endings & _OF_OTHERS.keys()}):
        raise InputError(
            f"{folder} holds weights of {' and '.join(others)} only, which sentence-transformers does not read",
            "save it with save_pretrained, which writes model.safetensors",
        )
    raise InputError(f"{folder} holds no weights: neither model.safetensors nor pytorch_model.bin", AGAIN)


def _refuse_missing_shards(folder: Path) -> None:
    for index in (*folder.glob("*.index.json"), *folder.glob("*/*.index.json")):
        listed = read_json(index).get("weight_map")
        names = sorted({str(file) for file in listed.values()}) if isinstance(listed, Mapping) else []
        missing = [file for file in names if not (index.parent / file).is_file()]
        if missing:
            raise InputError(f"{folder} lacks {first_offenders(missing)}, which {index.name} lists", AGAIN)


def _refuse_torn(path: Path) -> None:
    """Refuses a safetensors file that is shorter than its header says, and a web page in place of one."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        header = file.read(length) if length <= min(size, 1 << 28) else b""
    if start.lstrip().startswith((b"<!", b"<h")):
        raise InputError(f"{path} is a web page, not weights", "download the file itself, not the page about it")
    try:
        ends = [entry["data_offsets"][1] for name, entry in json.loads(header).items() if name != "__metadata__"]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        ends = [size]
    if 8 + length + max(ends, default=0) > size:
        raise InputError(f"{path} holds {size:,} bytes and is cut off", AGAIN)


_TOKENIZERS: Final = ("tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json", "spiece.model", "merges.txt")


def _refuse_no_tokenizer(folder: Path, files: Sequence[Path]) -> None:
    """Refuses a folder without a tokenizer: transformers would make one that knows no word, and say nothing."""
    if not any(path.name in _TOKENIZERS or path.suffix == ".model" for path in files):
        raise InputError(f"{folder} holds no tokenizer: none of {', '.join(_TOKENIZERS[:4])}", AGAIN)


def _adapter(folder: Path) -> InputError:
    base = str(read_json(folder / "adapter_config.json").get("base_model_name_or_path") or "its base model")
    return InputError(
        f"{folder} holds an adapter of {base[:120]}, whose weights lie elsewhere",
        "merge both with merge_and_unload() of peft, save the result, and give that folder to --model",
    )


def _gguf(folder: Path, file: Path) -> InputError:
    return InputError(
        f"{folder} holds {file.name}, weights for llama.cpp, Ollama or LM Studio",
        f"serve it there, then --model openai:{file.stem[:80]} --base-url http://localhost:8080/v1",
    )


def _files(folder: Path) -> list[Path]:
    """Lists the files in the folder and one level below, without a trainer's state."""
    paths = (*sorted(folder.glob("*")), *sorted(folder.glob("*/*")))
    return [path for path in paths if path.stem not in ("optimizer", "scheduler", "training_args", "rng_state")]
