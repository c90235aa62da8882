"""Models as other tools name them, weights that are missing, prompts that are misspelt: told before anything is measured."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mrl_sweep.embedding import ModelOptions, Role, open_embedder
from mrl_sweep.embedding.hosted.model import HostedModel
from mrl_sweep.embedding.local.library import load_faults
from mrl_sweep.embedding.local.model_files import ModelFiles
from mrl_sweep.errors import EnvironmentFault, InputError


@pytest.fixture
def bert(tiny_bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bert, tmp_path / "copy"))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ollama:nomic-embed-text", "openai:nomic-embed-text --base-url http://localhost:11434/v1"),
        ("nomic-embed-text:latest", "openai:nomic-embed-text:latest --base-url http://localhost:11434/v1"),
        ("qwen3-embedding:0.6b", "openai:qwen3-embedding:0.6b --base-url http://localhost:11434/v1"),
        ("lmstudio:bge-m3", "openai:bge-m3 --base-url http://localhost:1234/v1"),
        ("http://localhost:11434", "openai:NAME --base-url http://localhost:11434/v1"),
        ("http://localhost:8080/v1/", "openai:NAME --base-url http://localhost:8080/v1"),
        ("openai/text-embedding-3-small", "openai:text-embedding-3-small"),
        ("cohere/embed-v4.0", "cohere:embed-v4.0"),
        ("text-embedding-3-smal", "openai:text-embedding-3-small"),
        ("voyage4-large", "voyage:voyage-4-large"),
        ("hf:BAAI/bge-m3", "BAAI/bge-m3"),
        ("BAAI/bge-m3@main", "BAAI/bge-m3 --revision main"),
    ],
)
def test_a_model_as_another_tool_names_it_is_answered_with_what_to_type(name: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        open_embedder(name, ModelOptions(offline=True))
    assert caught.value.hint == f"--model {hint}"
    spec, _, rest = hint.partition(" --base-url ")
    if ":" in spec:
        assert isinstance(open_embedder(spec, ModelOptions(base_url=rest or None)), HostedModel)


@pytest.mark.parametrize("lost", ["encoder.layer.1", ""], ids=["a layer", "all"])
def test_weights_that_the_files_lack_are_not_made_up(bert: Path, lost: str) -> None:
    """transformers fills them with random numbers and says so in its log, which nobody sees."""
    path = bert / "model.safetensors"
    weights = load_file(path)
    kept = {name if lost else f"other.{name}": value for name, value in weights.items() if not lost or lost not in name}
    save_file(kept, path, metadata={"format": "pt"})
    with pytest.raises(InputError, match="which would be random: ") as caught:
        open_embedder(str(bert)).encode(["the cat"], Role.DOCUMENT)
    assert "download the folder again" in caught.value.hint


def test_a_pooler_that_is_missing_is_no_fault(bert: Path) -> None:
    path = bert / "model.safetensors"
    right = open_embedder(str(bert)).encode(["the cat"], Role.DOCUMENT).vectors
    save_file({name: value for name, value in load_file(path).items() if "pooler" not in name}, path, metadata={"format": "pt"})
    assert (open_embedder(str(bert)).encode(["the cat"], Role.DOCUMENT).vectors == right).all()


def test_a_misspelt_prompt_is_answered_with_the_nearest_and_a_text_is_a_text(bert: Path) -> None:
    with pytest.raises(InputError, match="has no prompt named querry") as caught:
        open_embedder(str(bert), ModelOptions(query_prompt="querry"))
    assert caught.value.hint == "did you mean --query-prompt query?"
    assert open_embedder(str(bert), ModelOptions(query_prompt="querry: ")).identity(Role.QUERY)["prompt"] == "querry: "


def test_routes_of_two_sizes_are_refused_for_good(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Router, StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    def table(dim: int) -> StaticEmbedding:
        return StaticEmbedding(Tokenizer(WordLevel({"[UNK]": 0, "the": 1}, unk_token="[UNK]")), embedding_dim=dim)

    router = Router({"query": [table(8)], "document": [table(4)]})
    SentenceTransformer(modules=[router], device="cpu").save(str(tmp_path / "m"), create_model_card=False)
    capfd.readouterr()
    model = open_embedder(str(tmp_path / "m"))
    with pytest.raises(InputError, match="gives 4 dimensions for a document, and its size is 8"):
        model.encode(["the"], Role.DOCUMENT)
    assert capfd.readouterr().err == "", "what the library warns of goes nowhere"


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("model type `new2027` but Transformers does not recognize this architecture", "pip install -U"),
        ('Module "sentence_transformers.models" does not define a "Foo" attribute/class', "pip install -U"),
        ("Can't load feature extractor for 'x'", "is it a model of texts?"),
        ("CUDA error: no kernel image is available", "--device cpu"),
        ("Could not find 'model.safetensors'", "are its files whole?"),
    ],
)
def test_what_a_library_says_of_a_folder_leads_to_what_helps(tmp_path: Path, said: str, hint: str) -> None:
    for error in (ValueError(said), OSError(said)):
        with pytest.raises(EnvironmentFault) as caught, load_faults(ModelFiles("m", tmp_path), ModelOptions()):
            raise error
        assert hint in caught.value.hint


def test_float16_on_a_processor_says_nothing(bert: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, config = bert / "model.safetensors", bert / "config.json"
    halves = {name: value.half() if value.dtype is torch.float32 else value for name, value in load_file(path).items()}
    save_file(halves, path, metadata={"format": "pt"})
    config.write_text(json.dumps(json.loads(config.read_text()) | {"dtype": "float16", "torch_dtype": "float16"}))
    capfd.readouterr()
    assert open_embedder(str(bert)).encode(["the cat"], Role.DOCUMENT).vectors.shape == (1, 32)
    assert capfd.readouterr().err == ""
