"""What a model's folder holds besides its description: weights that the backend reads, whole, and parts that fit each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mrl_sweep.embedding.model_families import read_json
from mrl_sweep.errors import InputError
from mrl_sweep.types import Advice
from mrl_sweep.words import first_offenders

_OF_BACKEND: Final = {"torch": (".safetensors", ".bin"), "onnx": (".onnx",), "openvino": (".xml",)}
_OF_OTHERS: Final = {
    ".h5": "TensorFlow",
    ".msgpack": "Flax",
    ".ot": "Rust",
    ".pt": "a training checkpoint",
    ".ckpt": "a training checkpoint",
}
_NEED_CONFIG: Final = ("Pooling", "Dense", "WeightedLayerPooling", "CNN", "LSTM")
_SIZES: Final = ("hidden_size", "d_model", "dim", "n_embd")
_AGAIN: Final = "download the folder again, whole"


def no_model(folder: Path) -> InputError:
    """Why a folder without modules.json and config.json is none that can be opened, and what to type instead."""
    if (folder / "adapter_config.json").is_file():
        return _adapter(folder)
    if gguf := _named(folder, ".gguf"):
        return _gguf(folder, gguf)
    inner = [path.parent for name in ("modules.json", "config.json") for path in sorted(folder.glob(f"*/{name}"))]
    inner += [path.parent for path in sorted(folder.glob("snapshots/*/config.json"))]
    if inner:
        return InputError(f"{folder} holds no model itself, but {inner[0].relative_to(folder)} does", f"--model {inner[0]}")
    if (folder / "tokenizer.json").is_file() or (folder / "tokenizer_config.json").is_file():
        return InputError(f"{folder} holds a tokenizer and no model: neither modules.json nor config.json", _AGAIN)
    return InputError(f"{folder} holds no model: neither modules.json nor config.json", "--model FOLDER of a saved model")


def a_file(path: Path) -> InputError:
    """Why one file is no model, and what to type instead: its folder, a server, or vectors that exist already."""
    if path.suffix == ".gguf":
        return _gguf(path.parent, [path])
    if path.suffix in (".npy", ".npz", ".parquet", ".fvecs", ".jsonl", ".csv"):
        return InputError(
            f"{path} is a file of data, not a model", f"--model vectors:{path.parent} takes vectors that exist already"
        )
    return InputError(f"{path} is a file, and a model is a folder", f"--model {path.parent}")


def refuse_missing_weights(folder: Path, backend: str, modules: Sequence[str]) -> None:
    """Raise InputError where the folder describes a model and lacks what the backend would read of it."""
    if modules and not {"Transformer", "StaticEmbedding", "CLIPModel"} & set(modules):
        return
    _refuse_missing_shards(folder)
    if (folder / "adapter_config.json").is_file():
        raise _adapter(folder)
    if backend != "torch" or any(_named(folder, ending) for ending in _OF_BACKEND["torch"]):
        return  # sentence-transformers makes the files of other backends from torch's
    for other in ("onnx", "openvino"):
        if any(_named(folder, ending) for ending in _OF_BACKEND[other]):
            raise InputError(f"{folder} holds weights for {other} only", f"--backend {other}")
    if gguf := _named(folder, ".gguf"):
        raise _gguf(folder, gguf)
    if others := sorted({kind for ending, kind in _OF_OTHERS.items() if _named(folder, ending)}):
        raise InputError(
            f"{folder} holds weights of {' and '.join(others)} only, which sentence-transformers does not read",
            "save it with save_pretrained, which writes model.safetensors",
        )
    raise InputError(f"{folder} holds no weights: neither model.safetensors nor pytorch_model.bin", _AGAIN)


def refuse_misfit(name: str, folder: Path, modules: Sequence[tuple[str, str]]) -> None:
    """Raise InputError where a module's configuration is missing, or takes vectors of another size than the one before gives.

    `modules` are (class name, folder) in order.
    """
    size: int | None = None
    before = ""
    for kind, path in modules:
        config = read_json(folder / path / "config.json")
        if kind in _NEED_CONFIG and not config:
            raise InputError(f"{name}: modules.json names {path or kind}, and {path or '.'}/config.json is missing", _AGAIN)
        if kind == "Transformer":
            size = next((config[key] for key in _SIZES if isinstance(config.get(key), int)), None)
        wanted = config.get("word_embedding_dimension" if kind == "Pooling" else "in_features")
        if size is not None and isinstance(wanted, int) and wanted != size and kind in ("Pooling", "Dense"):
            raise InputError(
                f"{name}: its parts do not fit each other: {before} gives {size} dimensions, {path} takes {wanted}",
                "these files come from two models; " + _AGAIN,
            )
        if kind == "Pooling" and isinstance(wanted, int):
            size = wanted * max(1, sum(value is True for key, value in config.items() if key.startswith("pooling_mode_")))
        elif kind == "Dense":
            size = config["out_features"] if isinstance(config.get("out_features"), int) else None
        before = path or kind


def quantised(name: str, config: Mapping[str, Any]) -> Iterator[Advice]:
    """What is told of weights that were saved in few bits: the vectors are those of this form, and of its kernels."""
    settings = config.get("quantization_config")
    if not isinstance(settings, Mapping):
        return
    bits = next(
        (f"{n} bits" for n in (settings.get("bits"), 4 if settings.get("load_in_4bit") else None) if isinstance(n, int)), ""
    )
    method = str(settings.get("quant_method") or "an unnamed method")
    yield Advice(
        "quantised-weights",
        f"{name} was saved with quantised weights ({', '.join(filter(None, (method, bits)))}): that form of it is measured",
        "its full weights may keep more at small sizes; measure the form that will be deployed",
    )


def _refuse_missing_shards(folder: Path) -> None:
    for index in (*folder.glob("*.index.json"), *folder.glob("*/*.index.json")):
        listed = read_json(index).get("weight_map")
        names = sorted({str(file) for file in listed.values()}) if isinstance(listed, Mapping) else []
        missing = [file for file in names if not (index.parent / file).is_file()]
        if missing:
            raise InputError(f"{folder} lacks {first_offenders(missing)}, which {index.name} lists", _AGAIN)


def _adapter(folder: Path) -> InputError:
    base = str(read_json(folder / "adapter_config.json").get("base_model_name_or_path") or "its base model")
    return InputError(
        f"{folder} holds an adapter of {base[:120]}, whose weights lie elsewhere",
        "merge both with merge_and_unload() of peft, save the result, and give that folder to --model",
    )


def _gguf(folder: Path, files: Sequence[Path]) -> InputError:
    return InputError(
        f"{folder} holds {files[0].name}, weights for llama.cpp, Ollama or LM Studio",
        f"serve it there, then --model openai:{files[0].stem[:80]} --base-url http://localhost:8080/v1",
    )


def _named(folder: Path, ending: str) -> list[Path]:
    """Files of the ending in the folder and one below, but no trainer's state."""
    files = (*sorted(folder.glob(f"*{ending}")), *sorted(folder.glob(f"*/*{ending}")))
    return [path for path in files if path.stem not in ("optimizer", "scheduler", "training_args", "rng_state")]
