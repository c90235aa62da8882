"""Is everything there that a model is made of? A folder's weights and tokenizer: of a kind that the backend reads, and whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from mrl_sweep.embedding.model_families import read_json
from mrl_sweep.errors import InputError
from mrl_sweep.files import LFS_POINTER
from mrl_sweep.words import first_offenders

AGAIN: Final = "download the folder again, whole"
"""What to do where a file is missing or cut off."""


def no_model(folder: Path) -> InputError:
    """Why a folder without modules.json and config.json is none that can be opened, and what to type instead."""
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


def a_file(path: Path) -> InputError:
    """Why one file is no model, and what to type instead: its folder, a server, or vectors that exist already."""
    if path.suffix == ".gguf":
        return _gguf(path.parent, path)
    if path.suffix in (".npy", ".npz", ".parquet", ".fvecs", ".jsonl", ".csv"):
        return InputError(
            f"{path} is a file of data, not a model", f"--model vectors:{path.parent} takes vectors that exist already"
        )
    return InputError(f"{path} is a file, and a model is a folder", f"--model {path.parent}")


_LARGE: Final = frozenset({".safetensors", ".bin", ".onnx", ".model", ".json", ".h5", ".pt", ".gguf", ".npy", ".npz"})


def refuse_pointers(folder: Path) -> None:
    """Refuses the small texts that Git without its large file storage leaves in place of weights."""
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
    """What lies in the folder and one below, but no trainer's state."""
    paths = (*sorted(folder.glob("*")), *sorted(folder.glob("*/*")))
    return [path for path in paths if path.stem not in ("optimizer", "scheduler", "training_args", "rng_state")]
