"""What a model's folder holds is looked at before it is used: refused, or said with what to type."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrl_sweep.embedding import ModelOptions, Role, open_embedder
from mrl_sweep.embedding.local.sentence_transformers import LocalModel
from mrl_sweep.errors import EnvironmentFault, InputError, MrlSweepError

ST = "sentence_transformers.models."
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'4d7a' * 16}\nsize 12345\n"


def folder_of(place: Path, files: dict[str, Any]) -> Path:
    """A model folder of these JSON files (or texts)."""
    for name, content in files.items():
        path = place / "acme" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return place / "acme"


def modules(*kinds: str) -> list[dict[str, Any]]:
    return [{"idx": i, "name": str(i), "path": f"{i}_{kind.rpartition('.')[2]}", "type": kind} for i, kind in enumerate(kinds)]


DENSE = modules(ST + "Transformer", ST + "Pooling")
BERT = {"model_type": "bert", "architectures": ["BertModel"], "max_position_embeddings": 512}
POOLING = {"word_embedding_dimension": 32}
HEAD = {"in_features": 32, "out_features": 8}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "reranker": ({"config.json": BERT | {"architectures": ["BertForSequenceClassification"]}}, "is a reranker"),
    "reranker by its own word": (
        {"config.json": BERT, "config_sentence_transformers.json": {"model_type": "CrossEncoder"}},
        "is a reranker",
    ),
    "reranker of another architecture": (
        {"config.json": {"model_type": "xlm-roberta", "architectures": ["XLMRobertaForSequenceClassification"]}},
        "is a reranker",
    ),
    "reranker by its modules": (
        {"config.json": BERT, "modules.json": modules("sentence_transformers.cross_encoder.modules.LogitScore")},
        "is a reranker",
    ),
    "no pooling": ({"config.json": BERT, "modules.json": modules(ST + "Transformer")}, "none pools"),
    "no pooling but a head": ({"config.json": BERT, "modules.json": modules(ST + "Transformer", ST + "Dense")}, "none pools"),
    "no pooling but unit length": (
        {"config.json": BERT, "modules.json": modules(ST + "Transformer", ST + "Normalize")},
        "none pools",
    ),
    "PyLate": (
        {"config.json": BERT, "modules.json": modules(ST + "Transformer", "pylate.models.Dense.Dense")},
        "is a multi-vector",
    ),
    "ColBERT": ({"config.json": BERT | {"architectures": ["HF_ColBERT"]}}, "is a multi-vector"),
    "MaxSim": (
        {"config.json": BERT, "modules.json": DENSE, "config_sentence_transformers.json": {"similarity_fn_name": "MaxSim"}},
        "is a multi-vector",
    ),
    "sparse": (
        {"config.json": BERT, "modules.json": modules("sentence_transformers.sparse_encoder.models.SpladePooling")},
        "is a sparse model",
    ),
    "model2vec": ({"config.json": {"model_type": "model2vec", "architectures": ["StaticModel"]}}, "is a model2vec model"),
    "heads": (
        {"config.json": BERT, "modules.json": DENSE, "2_Dense_8/config.json": HEAD, "2_Dense_16/config.json": HEAD},
        "has a head of its own for each size (8, 16)",
    ),
    "LFS weights": ({"config.json": BERT, "modules.json": DENSE, "model.safetensors": POINTER}, "Git LFS pointers"),
    "LFS weights below": (
        {"config.json": BERT, "modules.json": DENSE, "0_Transformer/pytorch_model.bin": POINTER},
        "Git LFS pointers stand in place of 0_Transformer/pytorch_model.bin",
    ),
    "LFS tokenizer": ({"config.json": BERT, "modules.json": DENSE, "tokenizer.json": POINTER}, "Git LFS pointers"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_makes_no_dense_vector_of_a_text_is_refused_by_its_files(tmp_path: Path, kind: str) -> None:
    files, said = REFUSED[kind]
    with pytest.raises(InputError) as caught:
        open_embedder(str(folder_of(tmp_path, files)))
    assert said in caught.value.message
    assert caught.value.hint


def test_a_maximum_length_beyond_the_positions_is_refused_and_the_hint_works(tmp_path: Path) -> None:
    files = {
        "config.json": BERT,
        "modules.json": DENSE,
        "1_Pooling/config.json": POOLING,
        "0_Transformer/pytorch_model.bin": "w",
        "tokenizer.json": "{}",
    }
    folder = str(folder_of(tmp_path, files))
    with pytest.raises(InputError, match="--max-length 1024: acme has 512 positions") as caught:
        open_embedder(folder, ModelOptions(max_length=1024))
    allowed = int(caught.value.hint.split()[1].rstrip(","))
    assert isinstance(open_embedder(folder, ModelOptions(max_length=allowed)), LocalModel)


@pytest.fixture
def bert(tiny_bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bert, tmp_path / "copy"))


def codes(model: Any) -> dict[str, str]:
    return {advice.code: advice.hint for advice in model.facts().warnings}


def test_a_guessed_pooling_is_said(bert: Path) -> None:
    (bert / "modules.json").unlink()
    (bert / "config_sentence_transformers.json").unlink()
    assert "pooling-guessed" in codes(open_embedder(str(bert)))


def test_prompts_that_are_applied_to_nothing_are_named_and_the_hint_applies_one(bert: Path) -> None:
    path = bert / "config_sentence_transformers.json"
    saved = json.loads(path.read_text()) | {"prompts": {"s2p_query": "given a question : ", "s2s_query": "alike : "}}
    path.write_text(json.dumps(saved))
    hint = codes(open_embedder(str(bert)))["prompts-not-used"]
    assert hint.startswith("--query-prompt s2p_query applies")
    followed = open_embedder(str(bert), ModelOptions(query_prompt="s2p_query"))
    assert "prompts-not-used" not in codes(followed)
    assert followed.identity(Role.QUERY)["prompt"] == "given a question : "


def test_the_modules_are_in_the_report(tiny_bert: Path) -> None:
    assert open_embedder(str(tiny_bert)).facts().details["modules"] == ["Transformer", "Pooling"]


def test_row_60_other_weights_of_the_same_size_and_time_are_another_model(bert: Path, tmp_path: Path) -> None:
    options = ModelOptions(cache_dir=tmp_path / "cache")
    before = open_embedder(str(bert), options).identity(Role.DOCUMENT)
    weights = next(bert.rglob("model.safetensors"))
    status, content = weights.stat(), bytearray(weights.read_bytes())
    content[-1] ^= 1
    other = weights.with_name("other")
    other.write_bytes(content)
    other.replace(weights)
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (weights.stat().st_size, weights.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert open_embedder(str(bert), options).identity(Role.DOCUMENT) != before
    assert open_embedder(str(bert), options).identity(Role.DOCUMENT) == open_embedder(str(bert)).identity(Role.DOCUMENT)


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


@pytest.mark.parametrize("error", [OutOfMemoryError("CUDA"), MemoryError(), RuntimeError("MPS backend out of memory")])
def test_out_of_memory_halves_the_batch(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    texts = [f"the cat {'sat ' * i}" for i in range(8)]
    right = open_embedder(str(tiny_bert), ModelOptions(batch_size=8)).encode(texts, Role.DOCUMENT).vectors
    model = open_embedder(str(tiny_bert), ModelOptions(batch_size=8))
    own, sizes = model.opened().encode_document, []

    def small(texts: list[str], batch_size: int, **options: Any) -> Any:
        sizes.append(batch_size)
        if batch_size > 2:
            raise error
        return own(texts, batch_size=batch_size, **options)

    monkeypatch.setattr(model.opened(), "encode_document", small)
    np.testing.assert_allclose(model.encode(texts, Role.DOCUMENT).vectors, right, atol=1e-6)
    model.encode(texts, Role.DOCUMENT)
    assert sizes == [8, 4, 2, 2]


def raising(error: Exception) -> Any:
    def encode(*_: Any, **__: Any) -> Any:
        raise error

    return encode


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (IndexError("index out of range in self"), InputError, "fewer positions or words"),
        (RuntimeError("The size of tensor a (600) must match"), EnvironmentFault, "failed while encoding: RuntimeError"),
        (MemoryError(), EnvironmentFault, "not enough memory to encode even one text"),
        (KeyError("input_ids"), EnvironmentFault, "failed while encoding: KeyError"),
        (AssertionError(), EnvironmentFault, "failed while encoding: AssertionError"),
    ],
)
def test_what_a_library_raises_while_encoding_is_an_error_of_ours(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception], said: str
) -> None:
    model = open_embedder(str(tiny_bert), ModelOptions(batch_size=1))
    monkeypatch.setattr(model.opened(), "encode_document", raising(error))
    with pytest.raises(kind, match=said) as caught:
        model.encode(["a"], Role.DOCUMENT)
    assert isinstance(caught.value, MrlSweepError)
    assert "--" in caught.value.hint


def test_a_length_beyond_the_positions_in_the_models_own_files_is_told_as_such(bert: Path) -> None:
    path = next(bert.rglob("sentence_bert_config.json"), bert / "sentence_bert_config.json")
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"max_seq_length": 100} if path.exists() else {"max_seq_length": 100})
    )
    model = open_embedder(str(bert))
    model.opened().max_seq_length = 100
    with pytest.raises((InputError, EnvironmentFault), match=r"cannot encode|failed while encoding") as caught:
        model.encode(["the cat sat " * 40], Role.DOCUMENT)
    assert "--max-length" in caught.value.hint


def test_third_parties_put_no_control_codes_on_stderr(bert: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from safetensors.numpy import load_file, save_file

    weights = next(bert.rglob("model.safetensors"))
    tensors = load_file(weights)
    tensors = {name: tensor for name, tensor in tensors.items() if "pooler" not in name}
    save_file(tensors | {"classifier.weight": np.zeros((1, 32), np.float32)}, weights, {"format": "pt"})
    open_embedder(str(bert)).encode(["a"], Role.DOCUMENT)
    assert "\x1b" not in capfd.readouterr().err
