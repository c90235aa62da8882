"""Shapes of model folders as data: what sentence-transformers, transformers and their relatives save, and what a user is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mrl_sweep.embedding import ModelOptions, open_embedder
from mrl_sweep.embedding.local.sentence_transformers import LocalModel
from mrl_sweep.errors import InputError

ST = "sentence_transformers.models."
BERT = {"model_type": "bert", "architectures": ["BertModel"], "max_position_embeddings": 512, "hidden_size": 32}
WEIGHTS = {"model.safetensors": "weights"}
POOLING = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}


def listed(*kinds: str) -> list[dict[str, Any]]:
    places = ["", *(f"{i}_{kind.rpartition('.')[2]}" for i, kind in enumerate(kinds) if i)]
    return [{"idx": i, "name": str(i), "path": places[i], "type": kind} for i, kind in enumerate(kinds)]


DENSE = {"config.json": BERT, "modules.json": listed(ST + "Transformer", ST + "Pooling"), "1_Pooling/config.json": POOLING}
PROJECTED = {**DENSE, "modules.json": listed(ST + "Transformer", ST + "Pooling", ST + "Dense")}
LORA = {"adapter_config.json": {"base_model_name_or_path": "acme/base"}, "adapter_model.safetensors": "weights"}
SAVED = "config_sentence_transformers.json"
SHARDS = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}


class Refused(NamedTuple):
    files: dict[str, Any]
    says: str
    hint: str


REFUSED = {
    "ONNX only": Refused({**DENSE, "onnx/model.onnx": "weights"}, "holds weights for onnx only", "--backend onnx"),
    "OpenVINO only": Refused({**DENSE, "openvino/openvino_model.xml": "w"}, "for openvino only", "--backend openvino"),
    "GGUF alone": Refused({"nomic.Q4_K_M.gguf": "weights"}, "weights for llama.cpp", "--model openai:nomic.Q4_K_M --base-url"),
    "GGUF beside a configuration": Refused({**DENSE, "m.gguf": "weights"}, "weights for llama.cpp", "--model openai:m"),
    "LoRA adapter": Refused(LORA, "an adapter of acme/base", "merge_and_unload"),
    "LoRA adapter with modules": Refused({**DENSE, **LORA}, "an adapter of acme/base", "merge_and_unload"),
    "tokenizer only": Refused({"tokenizer.json": {}, "tokenizer_config.json": {}}, "a tokenizer and no model", "download"),
    "description only": Refused(DENSE, "holds no weights", "download"),
    "TensorFlow only": Refused({**DENSE, "tf_model.h5": "weights"}, "weights of TensorFlow only", "save_pretrained"),
    "Flax only": Refused({**DENSE, "flax_model.msgpack": "weights"}, "weights of Flax only", "save_pretrained"),
    "a trainer's state only": Refused({**DENSE, "optimizer.pt": "state"}, "holds no weights", "download"),
    "a checkpoint of a trainer's": Refused({**DENSE, "last.ckpt": "state"}, "a training checkpoint only", "save_pretrained"),
    "a shard is missing": Refused(
        {**DENSE, "model.safetensors.index.json": SHARDS, "model-00001-of-00002.safetensors": "weights"},
        "lacks model-00002-of-00002.safetensors",
        "download",
    ),
    "shards of the elder format": Refused(
        {**DENSE, "pytorch_model.bin.index.json": {"weight_map": {"a": "pytorch_model-00001-of-00002.bin"}}},
        "lacks pytorch_model-00001-of-00002.bin",
        "download",
    ),
    "no pooling configuration": Refused(
        {**WEIGHTS, "config.json": BERT, "modules.json": DENSE["modules.json"]}, "1_Pooling/config.json is missing", "download"
    ),
    "no configuration of a projection": Refused({**PROJECTED, **WEIGHTS}, "2_Dense/config.json is missing", "download"),
    "pooling of another model": Refused(
        {**DENSE, **WEIGHTS, "1_Pooling/config.json": {**POOLING, "word_embedding_dimension": 768}},
        "gives 32 dimensions, 1_Pooling takes 768",
        "two models",
    ),
    "projection of another model": Refused(
        {**PROJECTED, **WEIGHTS, "2_Dense/config.json": {"in_features": 64, "out_features": 16}},
        "1_Pooling gives 32 dimensions, 2_Dense takes 64",
        "two models",
    ),
    "a projection that forgets the second pooling": Refused(
        {
            **PROJECTED,
            **WEIGHTS,
            "1_Pooling/config.json": {**POOLING, "pooling_mode_cls_token": True},
            "2_Dense/config.json": {"in_features": 32, "out_features": 16},
        },
        "1_Pooling gives 64 dimensions, 2_Dense takes 32",
        "two models",
    ),
    "CLIP of transformers": Refused(
        {**WEIGHTS, "config.json": {"model_type": "clip", "text_config": {}, "vision_config": {}}},
        "a model of images and texts",
        "sentence-transformers version",
    ),
    "ColPali": Refused(
        {**WEIGHTS, "config.json": {"architectures": ["ColPaliForRetrieval"]}}, "is a multi-vector", "one vector a text"
    ),
    "a reranker made of a language model": Refused(
        {**WEIGHTS, "config.json": {"architectures": ["Qwen3ForSequenceClassification"]}}, "is a reranker", "embedding model"
    ),
    "the model is one folder down": Refused(
        {"acme/config.json": BERT, "acme/model.safetensors": "w"}, "but acme does", "--model "
    ),
    "a folder of the hub's cache": Refused({"snapshots/0a1b/config.json": BERT}, "but snapshots/0a1b does", "--model "),
    "LiteRT only": Refused({**DENSE, "model.tflite": "x"}, "weights of LiteRT only", "save_pretrained"),
    "Core ML only": Refused({**DENSE, "m.mlpackage/Manifest.json": {}}, "weights of Core ML only", "save_pretrained"),
    "TensorRT only": Refused({**DENSE, "model.engine": "x"}, "weights of TensorRT only", "save_pretrained"),
    "MLX": Refused(
        {**DENSE, **WEIGHTS, "config.json": {**BERT, "quantization": {"group_size": 64, "bits": 4}}}, "saved for MLX", "made from"
    ),
    "CLAP of transformers": Refused(
        {**WEIGHTS, "config.json": {"model_type": "clap", "text_config": {}, "audio_config": {}}},
        "a model of sounds and texts",
        "sentence-transformers version",
    ),
    "weights without a tokenizer": Refused({**DENSE, **WEIGHTS, "no tokenizer": ""}, "holds no tokenizer", "download"),
    "a web page": Refused({**DENSE, "model.safetensors": "<!DOCTYPE html>"}, "is a web page", "download the file"),
    "weights of no bytes": Refused({**DENSE, "model.safetensors": ""}, "holds 0 bytes and is cut off", "download"),
    "torn weights": Refused({**DENSE, "model.safetensors": "\x10\x00\x00\x00\x00\x00\x00\x00{}"}, "is cut off", "download"),
    "no modules in the list": Refused({**DENSE, **WEIGHTS, "modules.json": []}, "lists no modules", "remove it"),
    "modules that are no list": Refused({**DENSE, **WEIGHTS, "modules.json": {"a": 1}}, "holds no JSON list", "download"),
    "a torn list of modules": Refused({**DENSE, **WEIGHTS, "modules.json": "[{"}, "holds no JSON list", "download"),
    "a torn configuration": Refused({**DENSE, **WEIGHTS, "config.json": "{"}, "holds no JSON object", "download"),
    "prompts that are a list": Refused({**DENSE, **WEIGHTS, SAVED: {"prompts": ["a"]}}, "no texts by name", "mend them"),
    "a prompt that is a number": Refused({**DENSE, **WEIGHTS, SAVED: {"prompts": {"query": 3}}}, "no texts by name", "mend them"),
    "a default prompt that is not there": Refused(
        {**DENSE, **WEIGHTS, SAVED: {"prompts": {"a": "b"}, "default_prompt_name": "c"}}, "has no prompt c", "default_prompt_name"
    ),
    "an empty folder": Refused({"README.md": "hello"}, "holds no model", "--model FOLDER"),
}
TAKEN: dict[str, tuple[dict[str, Any], set[str]]] = {
    "pooling that names no way": (
        {**DENSE, **WEIGHTS, "1_Pooling/config.json": {"word_embedding_dimension": 32}},
        {"pooling-guessed"},
    ),
    "pooling as sentence-transformers 6 names it": (
        {**DENSE, **WEIGHTS, "1_Pooling/config.json": {"embedding_dimension": 32, "pooling_mode": "cls"}},
        set(),
    ),
    "a model that answers questions": (
        {**WEIGHTS, "config.json": {**BERT, "architectures": ["BertForQuestionAnswering"]}},
        {"pooling-guessed"},
    ),
    "sentence-transformers": ({**DENSE, **WEIGHTS}, set()),
    "its elder layout": (
        {
            "modules.json": [
                {"type": ST + "Transformer", "path": "0_Transformer"},
                {"type": ST + "Pooling", "path": "1_Pooling"},
            ],
            "0_Transformer/config.json": BERT,
            "0_Transformer/pytorch_model.bin": "weights",
            "1_Pooling/config.json": POOLING,
        },
        set(),
    ),
    "two poolings side by side": (
        {
            **PROJECTED,
            **WEIGHTS,
            "1_Pooling/config.json": {**POOLING, "pooling_mode_cls_token": True},
            "2_Dense/config.json": {"in_features": 64, "out_features": 16},
        },
        set(),
    ),
    "a whole set of shards": (
        {**DENSE, "model.safetensors.index.json": SHARDS, **dict.fromkeys(SHARDS["weight_map"].values(), "weights")},
        set(),
    ),
    "transformers alone": ({"config.json": BERT, **WEIGHTS}, {"pooling-guessed"}),
    "a language model alone": ({"config.json": {"architectures": ["Qwen2ForCausalLM"]}, **WEIGHTS}, {"pooling-guessed"}),
    "bitsandbytes": (
        {
            **DENSE,
            **WEIGHTS,
            "config.json": {**BERT, "quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
        },
        {"quantised-weights"},
    ),
    "AWQ": (
        {**DENSE, **WEIGHTS, "config.json": {**BERT, "quantization_config": {"quant_method": "awq", "bits": 4}}},
        {"quantised-weights"},
    ),
    "fp8": ({**DENSE, **WEIGHTS, "config.json": {**BERT, "quantization_config": {"quant_method": "fp8"}}}, {"quantised-weights"}),
    "static embeddings": (
        {"modules.json": listed("sentence_transformers.models.StaticEmbedding"), "model.safetensors": "w", "tokenizer.json": {}},
        set(),
    ),
    "CLIP of sentence-transformers": (
        {"modules.json": [{"type": ST + "CLIPModel", "path": "0_CLIPModel"}], "0_CLIPModel/model.safetensors": "w"},
        set(),
    ),
    "routes for queries and documents": (
        {
            "modules.json": [{"type": "sentence_transformers.sentence_transformer.modules.Router", "path": "0_Router"}],
            "0_Router/router_config.json": {"structure": {"query": ["a"], "document": ["b"]}},
        },
        set(),
    ),
    "GGUF beside torch's weights": ({**DENSE, **WEIGHTS, "m.gguf": "weights"}, set()),
}


def folder_of(place: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        path = place / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        if path.suffix == ".safetensors" and content in ("weights", "w"):
            path.write_bytes((2).to_bytes(8, "little") + b"{}")
        if content in ("weights", "w") and "no tokenizer" not in files:
            path.with_name("tokenizer.json").write_text("{}")
    return place / "model"


@pytest.mark.parametrize("shape", REFUSED)
def test_a_shape_that_cannot_be_measured_is_refused_with_what_to_do(tmp_path: Path, shape: str) -> None:
    files, says, hint = REFUSED[shape]
    with pytest.raises(InputError) as caught:
        open_embedder(str(folder_of(tmp_path, files)))
    assert says in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("shape", TAKEN)
def test_a_shape_that_can_be_measured_is_taken_and_what_is_guessed_of_it_is_said(tmp_path: Path, shape: str) -> None:
    files, codes = TAKEN[shape]
    model = open_embedder(str(folder_of(tmp_path, files)))
    assert isinstance(model, LocalModel)
    assert {advice.code for advice in model._origin.warnings} == codes


def test_a_folder_whose_name_is_near_another_models_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_of(tmp_path, TAKEN["sentence-transformers"][0]).rename(tmp_path / "wordlama")
    monkeypatch.chdir(tmp_path)
    assert open_embedder("wordlama").name == "wordlama"


def test_the_hint_of_a_model_one_folder_down_is_followed(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        open_embedder(str(folder_of(tmp_path, REFUSED["the model is one folder down"].files)))
    assert isinstance(open_embedder(caught.value.hint.removeprefix("--model ")), LocalModel)


def test_the_hint_of_another_backend_is_followed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, REFUSED["ONNX only"].files)
    assert isinstance(open_embedder(str(folder), ModelOptions(backend="onnx")), LocalModel)


@pytest.mark.parametrize(
    ("name", "says", "hint"),
    [
        ("docs.npy", "a file of data", "--model vectors:{}"),
        ("m.gguf", "weights for llama.cpp", "--model openai:m --base-url"),
        ("model.safetensors", "a model is a folder", "--model {}"),
    ],
)
def test_a_file_in_the_place_of_a_model_is_answered_with_what_takes_it(tmp_path: Path, name: str, says: str, hint: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=says) as caught:
        open_embedder(str(tmp_path / name))
    assert hint.format(tmp_path) in caught.value.hint


@pytest.mark.parametrize(
    "spec",
    [
        "https://huggingface.co/acme/small",
        "https://hf.co/acme/small/",
        "acme/small/",
        "https://huggingface.co/acme/small/tree/main",
    ],
)
def test_an_address_of_the_hub_is_answered_with_the_models_name(spec: str) -> None:
    with pytest.raises(InputError) as caught:
        open_embedder(spec)
    assert caught.value.hint == "--model acme/small"


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("localhost:8080", "--base-url http://localhost:8080"),
        ("10.0.0.7/v1", "--base-url http://10.0.0.7/v1"),
        ("http://localhost:8080/v1/embeddings", "--base-url http://localhost:8080/v1"),
        ("ftp://host/v1", "--base-url https://HOST/v1"),
    ],
)
def test_an_address_that_cannot_be_asked_is_answered_with_one_that_can(url: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        open_embedder("openai:small", ModelOptions(base_url=url))
    assert caught.value.hint == hint
