"""Real models, small ones built on the spot and WordLlama's: what every local provider promises, and what each is known for."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedding_helpers import collection_of

from mrl_sweep.embedding import ModelOptions, Role, Store, embed, open_embedder
from mrl_sweep.errors import EnvironmentFault, InputError, MissingExtra
from mrl_sweep.events import Note

TEXTS = ["the cat sat on a mat", "dogs run", "", "green hills " * 20, "a", "dogs run fast over the hills"]
MODELS = ["wordllama", "tiny_bert", "tiny_static"]


@pytest.fixture(params=MODELS)
def spec(request: pytest.FixtureRequest) -> str:
    return request.param if request.param == "wordllama" else str(request.getfixturevalue(request.param))


def copied(model: Path, folder: Path) -> Path:
    return Path(shutil.copytree(model, folder))


def edited(folder: Path, name: str, **changes: Any) -> Path:
    path = folder / name
    document = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(document | changes))
    return folder


# --- The contract -----------------------------------------------------------------------------------------------------


def test_vectors_are_full_size_rows_of_float32_in_the_order_of_the_texts(spec: str) -> None:
    embedder = open_embedder(spec)
    for role in Role:
        encoded = embedder.encode(TEXTS, role)
        assert encoded.vectors.dtype == np.float32
        assert encoded.vectors.flags.c_contiguous
        assert encoded.vectors.shape == (len(TEXTS), embedder.facts().dim)
        single = np.concatenate([embedder.encode([text], role).vectors for text in TEXTS])
        assert np.allclose(encoded.vectors, single, atol=1e-5)
    embedder.close()


def test_the_same_texts_give_the_same_bytes(spec: str) -> None:
    first, second = (open_embedder(spec).encode(TEXTS, Role.DOCUMENT).vectors for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_identity_is_json_that_tells_roles_and_prompts_apart(spec: str) -> None:
    def key(role: Any, **options: Any) -> Any:
        return json.dumps(open_embedder(spec, ModelOptions(**options)).identity(role), sort_keys=True)

    keys = [key(Role.QUERY), key(Role.DOCUMENT), key(Role.QUERY, query_prompt="ask: "), key(Role.QUERY, max_length=5)]
    assert len(set(keys)) == 4
    assert key(Role.QUERY) == keys[0]
    assert key(Role.DOCUMENT, query_prompt="ask: ") == keys[1]
    assert key(Role.QUERY, device="cpu", batch_size=7) == keys[0], "how fast is not what"


def test_a_given_prompt_is_put_before_the_text(spec: str) -> None:
    prompted = open_embedder(spec, ModelOptions(query_prompt="search : ", document_prompt="")).encode(["dogs"], Role.QUERY)
    plain = open_embedder(spec, ModelOptions(query_prompt="", document_prompt="")).encode(["search : dogs"], Role.QUERY)
    assert np.allclose(prompted.vectors, plain.vectors, atol=1e-6)


def test_the_whole_way_through_the_store_is_the_models_own_answer(spec: str, tmp_path: Path) -> None:
    embeddings = embed(collection_of(TEXTS, ["which dogs"]), open_embedder(spec), Store(tmp_path))
    direct = open_embedder(spec)
    assert np.allclose(embeddings.documents.read(0, len(TEXTS)), direct.encode(TEXTS, Role.DOCUMENT).vectors, atol=1e-5)
    assert np.allclose(embeddings.queries, direct.encode(["which dogs"], Role.QUERY).vectors, atol=1e-5)
    assert embeddings.model["counts"]["empty_documents"] == 1
    assert embeddings.model["dim"] == embeddings.queries.shape[1]


# --- WordLlama --------------------------------------------------------------------------------------------------------


def test_wordllama_is_the_mean_of_its_tables_rows() -> None:
    import importlib.util

    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    root = Path(importlib.util.find_spec("wordllama").submodule_search_locations[0])  # type: ignore[index]
    (table,) = load_file(root / "weights/l2_supercat_256.safetensors").values()
    tokens = Tokenizer.from_file(str(root / "tokenizers/l2_supercat_tokenizer_config.json"))
    texts = ["How do I undo a rename on disk?", "naïve " * 300, "x"]
    rows = [table[tokens.encode(text, add_special_tokens=False).ids].astype(np.float64).mean(axis=0) for text in texts]
    embedder = open_embedder("wordllama")
    encoded = embedder.encode([*texts, ""], Role.DOCUMENT)
    assert np.allclose(encoded.vectors, [*rows, np.zeros(256)], atol=1e-5)
    assert encoded.truncated.tolist() == [False] * 4
    facts = embedder.facts()
    assert (facts.dim, facts.max_length, facts.trained_dims) == (256, None, (128, 64))


@pytest.mark.parametrize("prompt", ["", "search : "])
def test_static_models_give_the_very_bytes_of_the_librarys_encode(tiny_static: Path, tmp_path: Path, prompt: str) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize

    texts = [*TEXTS, "dogs", "the " * 500]
    normalised = tmp_path / "normalised"
    SentenceTransformer(modules=[library_model(tiny_static)[0], Normalize()], device="cpu").save(str(normalised))
    for spec in (str(tiny_static), str(normalised), "wordllama"):
        embedder = open_embedder(spec, ModelOptions(document_prompt=prompt, device="cpu"))
        expected = embedder.opened().encode(texts, prompt=prompt, show_progress_bar=False)
        encoded = embedder.encode(texts, Role.DOCUMENT)
        assert encoded.vectors.tobytes() == expected.tobytes()
        if spec != "wordllama":
            assert encoded.tokens is not None
            assert encoded.tokens[-1] == 500 + len(prompt.split())


def test_wordllama_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra) as caught:
        open_embedder("wordllama")
    assert caught.value.hint == "pip install 'mrl-sweep[wordllama]'"


# --- sentence-transformers --------------------------------------------------------------------------------------------


def library_model(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    model.truncate_dim = None
    return model


def test_prompts_are_those_of_the_models_own_configuration(tiny_bert: Path) -> None:
    model, embedder = library_model(tiny_bert), open_embedder(str(tiny_bert))
    query, document = (embedder.encode(["green hills"], role).vectors for role in (Role.QUERY, Role.DOCUMENT))
    assert np.allclose(query, model.encode_query(["green hills"]), atol=1e-6)
    assert np.allclose(document, model.encode_document(["green hills"]), atol=1e-6)
    assert not np.allclose(query, document, atol=1e-3)
    assert embedder.facts().details["prompts"] == {"query": "query : ", "document": "passage : ", "from": "model"}


def test_a_prompt_may_be_given_by_its_name_in_the_model(tiny_bert: Path) -> None:
    named = open_embedder(str(tiny_bert), ModelOptions(query_prompt="other"))
    assert named.identity(Role.QUERY)["prompt"] == "search : "
    assert named.facts().details["prompts"]["from"] == "query: given, document: model"


def test_one_prompted_query_and_document_are_shown_and_recorded(tiny_bert: Path, tmp_path: Path) -> None:
    said = []
    embeddings = embed(
        collection_of(["green hills"], ["which"]), open_embedder(str(tiny_bert)), Store(tmp_path), on_event=said.append
    )
    assert embeddings.model["sample"] == {"query": "query : which", "document": "passage : green hills"}
    assert Note("a query as the model reads it: query : which") in said


@pytest.mark.parametrize("name", ["passage", "corpus"])
def test_a_document_prompt_may_go_by_another_name(tiny_bert: Path, tmp_path: Path, name: str) -> None:
    folder = edited(copied(tiny_bert, tmp_path / "m"), "config_sentence_transformers.json", prompts={name: "green "})
    assert open_embedder(str(folder)).identity(Role.DOCUMENT)["prompt"] == "green "


def test_a_default_prompt_is_applied_to_neither_side_and_that_is_said(tiny_bert: Path, tmp_path: Path) -> None:
    folder = copied(tiny_bert, tmp_path / "m")
    edited(folder, "config_sentence_transformers.json", prompts={"other": "search : "}, default_prompt_name="other")
    embedder = open_embedder(str(folder))
    assert np.allclose(embedder.encode(["dogs"], Role.QUERY).vectors, library_model(folder).encode_query(["dogs"]), atol=1e-6)
    assert "default-prompt" in [advice.code for advice in embedder.facts().warnings]


def test_full_size_is_forced_where_the_saved_model_would_cut_and_that_is_said(tiny_bert: Path) -> None:
    from sentence_transformers import SentenceTransformer

    assert SentenceTransformer(str(tiny_bert), device="cpu").encode(["a"]).shape == (1, 8)
    embedder = open_embedder(str(tiny_bert))
    facts = embedder.facts()
    assert embedder.encode(["a"], Role.DOCUMENT).vectors.shape == (1, 32)
    assert facts.dim == 32
    assert facts.details["saved_truncate_dim"] == 8
    assert [advice.message for advice in facts.warnings] == [
        "model was saved to cut its vectors to 8; the sweep starts from its full 32 dimensions".replace("model", embedder.name, 1)
    ]


def test_similarity_and_maximum_length_are_the_models_own(tiny_bert: Path) -> None:
    facts = open_embedder(str(tiny_bert)).facts()
    assert (facts.similarity, facts.max_length) == ("dot", 12)
    assert open_embedder(str(tiny_bert), ModelOptions(max_length=6)).facts().max_length == 6


def test_a_similarity_that_is_not_offered_is_said(tiny_bert: Path, tmp_path: Path) -> None:
    folder = edited(copied(tiny_bert, tmp_path / "m"), "config_sentence_transformers.json", similarity_fn_name="manhattan")
    assert "similarity-not-offered" in [advice.code for advice in open_embedder(str(folder)).facts().warnings]
    folder = edited(folder, "config_sentence_transformers.json", similarity_fn_name=None)
    assert open_embedder(str(folder)).facts().similarity is None


def test_texts_longer_than_the_model_reads_are_counted_exactly(tiny_bert: Path, tmp_path: Path) -> None:
    room = 12 - 2 - 2  # [CLS], [SEP] and the prompt's two tokens
    texts = ["dogs " * n for n in (1, room - 1, room, room + 1, 50)]
    encoded = open_embedder(str(tiny_bert)).encode(texts, Role.DOCUMENT)
    assert encoded.truncated.tolist() == [False, False, False, True, True]
    assert encoded.tokens.tolist() == [5, 11, 12, 12, 12]
    for _ in range(2):
        embeddings = embed(collection_of(texts, ["a"]), open_embedder(str(tiny_bert)), Store(tmp_path))
        assert embeddings.model["counts"]["truncated_documents"] == 2
        (advice,) = (advice for advice in embeddings.warnings if advice.code == "truncated-documents")
        assert advice.message == "2 documents (40.0%) are longer than the model's 12 tokens: the rest of their text was not read"


def test_the_key_of_a_folder_follows_its_content_not_its_place(tiny_static: Path, tmp_path: Path) -> None:
    here, there = copied(tiny_static, tmp_path / "here"), copied(tiny_static, tmp_path / "there")
    identity = open_embedder(str(here)).identity(Role.QUERY)
    (there / "README.md").write_text("words for people")
    assert open_embedder(str(there)).identity(Role.QUERY) == identity
    weights = there / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert open_embedder(str(there)).identity(Role.QUERY) != identity


def test_several_processes_share_one_pool_that_is_closed_in_the_end(tiny_static: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sentence_transformers import SentenceTransformer

    said, real = [], SentenceTransformer.encode
    monkeypatch.setattr(SentenceTransformer, "start_multi_process_pool", lambda _, devices: said.append(devices) or "pool")
    monkeypatch.setattr(SentenceTransformer, "stop_multi_process_pool", staticmethod(lambda pool: said.append(f"{pool} closed")))

    def encode(self: Any, inputs: Any, pool: Any = None, chunk_size: Any = None, **options: Any) -> Any:
        said.append((pool, chunk_size))
        return real(self, inputs, **options)

    monkeypatch.setattr(SentenceTransformer, "encode", encode)
    embedder = open_embedder(str(tiny_static), ModelOptions(processes=2, device="cpu", batch_size=2))
    assert embedder.batching.texts == 16
    for _ in range(2):
        embedder.encode(TEXTS, Role.DOCUMENT)
    embedder.close()
    assert said == [["cpu", "cpu"], ("pool", 3), ("pool", 3), "pool closed"]


# --- Nomic ------------------------------------------------------------------------------------------------------------


def test_nomic_gets_its_layer_norm_before_slicing_and_its_prompts(tiny_bert: Path, tmp_path: Path) -> None:
    import torch

    folder = copied(tiny_bert, tmp_path / "nomic-embed-text-v1.5")
    edited(folder, "config_sentence_transformers.json", prompts={})
    embedder = open_embedder(str(folder))
    stored = embed(collection_of(["green hills", "dogs run"], ["which cat"]), embedder, Store(tmp_path / "store"))
    raw = library_model(folder).encode(["green hills", "dogs run"], prompt="search_document: ")
    direct = torch.nn.functional.layer_norm(torch.from_numpy(raw), (32,)).numpy()
    assert np.allclose(stored.documents.read(0, 2), direct, atol=1e-5)
    assert stored.model["transform"] == "layer-norm"
    assert stored.model["prompts"] == {"query": "search_query: ", "document": "search_document: ", "from": "family"}
    assert stored.model["sample"]["query"] == "search_query: which cat"

    def cut(rows: Any, dim: int = 8) -> Any:
        return rows[:, :dim] / np.linalg.norm(rows[:, :dim], axis=1, keepdims=True)

    assert np.abs(cut(direct) - cut(raw)).max() > 0.01, "slicing without the layer norm is another vector"
    assert not np.allclose(np.linalg.norm(direct[:, :8], axis=1), 1)


# --- Refusals ---------------------------------------------------------------------------------------------------------


def refused(spec: str | Path, error: Any = InputError, **options: Any) -> Any:
    with pytest.raises(error) as caught:
        open_embedder(str(spec), ModelOptions(**options)).facts()
    return caught.value


def test_code_from_a_repository_is_refused_without_the_flag_and_a_commit(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(tiny_bert, tmp_path / "m")
    edited(folder, "config.json", model_type="homemade", auto_map={"AutoConfig": "code.C", "AutoModel": "code.M"})
    (folder / "code.py").write_text("raise SystemExit('code of the repository was run')")
    fault = refused(folder)
    assert (fault.message, fault.exit_code) == ("m needs code from its repository to run", 2)
    assert "--trust-remote-code with --revision COMMIT" in fault.hint
    cached(folder, tmp_path / "hub", monkeypatch)
    fault = refused("acme/tiny", trust_remote_code=True)
    assert "no commit says which" in fault.message
    assert f"--revision {COMMIT}" in fault.hint
    assert "no commit says which" in refused("acme/tiny", trust_remote_code=True, revision="main").message


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    assert "neither modules.json nor config.json" in refused(tmp_path).message


@pytest.mark.parametrize("name", ["../up", "/nowhere/at/all", "a b", "x" * 300, "owner/name/more", "", "./here"])
def test_what_is_neither_folder_nor_name_is_refused(name: str) -> None:
    assert "is neither a folder nor a model's name" in refused(name).message


def test_another_kind_of_model_is_refused_with_those_there_are() -> None:
    assert "vectors:" in refused("vector:here").hint
    assert "names no model" in refused("vectors:").message


def test_an_unknown_backend_is_refused(tiny_bert: Path) -> None:
    assert "--backend torch, onnx or openvino" in refused(tiny_bert, backend="tensorflow").hint


def test_a_backend_that_is_not_installed_names_its_package(tiny_bert: Path) -> None:
    fault = refused(tiny_bert, EnvironmentFault, backend="openvino")
    assert fault.hint == "pip install 'sentence-transformers[openvino]'"


def test_broken_weights_are_a_fault_of_the_environment_not_a_traceback(tiny_bert: Path, tmp_path: Path) -> None:
    folder = copied(tiny_bert, tmp_path / "m")
    header = json.dumps({"x": {"dtype": "F99", "shape": [1], "data_offsets": [0, 0]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert "cannot load the model" in refused(folder, EnvironmentFault).message


def test_a_family_that_is_no_prefix_family_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    folder = copied(tiny_bert, tmp_path / "stella_en_400M_v5")
    assert "separate output heads" in refused(folder).message


# --- The hub's cache --------------------------------------------------------------------------------------------------

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def cached(model: Path, hub: Path, monkeypatch: pytest.MonkeyPatch, repository: str = "acme/tiny") -> Path:
    """Lays a model out as the hub's cache does."""
    base = hub / f"models--{repository.replace('/', '--')}"
    shutil.copytree(model, base / "snapshots" / COMMIT)
    (base / "refs").mkdir()
    (base / "refs" / "main").write_text(COMMIT)
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(hub))
    return base


@pytest.mark.parametrize("revision", [None, "main", COMMIT])
def test_a_name_is_found_in_the_local_cache_and_known_by_its_commit(
    tiny_static: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: Any
) -> None:
    cached(tiny_static, tmp_path, monkeypatch)
    embedder = open_embedder("acme/tiny", ModelOptions(revision=revision, offline=True))
    identity = embedder.identity(Role.DOCUMENT)
    assert (identity["model"], identity["revision"]) == ("acme/tiny", COMMIT)
    assert embedder.encode(["dogs"], Role.DOCUMENT).vectors.shape == (1, 16)


def test_a_short_name_is_one_of_sentence_transformers(tiny_static: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached(tiny_static, tmp_path, monkeypatch, "sentence-transformers/tiny")
    assert open_embedder("tiny", ModelOptions(offline=True)).identity(Role.QUERY)["model"] == "sentence-transformers/tiny"


@pytest.mark.parametrize("options", [{}, {"revision": "v2"}, {"revision": "f" * 40}])
def test_a_model_that_is_not_here_cannot_be_loaded_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Any) -> None:
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path))
    fault = refused("acme/none", EnvironmentFault, offline=True, **options)
    assert fault.message == "cannot load the model acme/none: it is not in the local cache, and --offline forbids the network"
    assert "--model PATH" in fault.hint
    assert fault.exit_code == 3


# --- Nothing heavy in a warm run --------------------------------------------------------------------------------------


def test_a_warm_run_imports_neither_torch_nor_sentence_transformers(spec: str, tmp_path: Path) -> None:
    """Identity, prompts, sizes and counts all come from files."""
    code = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parents[1])]!r}
from pathlib import Path
from embedding_helpers import collection_of
from mrl_sweep.embedding import ModelOptions, Store, embed, open_embedder
options = ModelOptions(cache_dir=Path({str(tmp_path)!r}))
embeddings = embed(collection_of({TEXTS!r}, ["a", "dogs"]), open_embedder({spec!r}, options), Store(Path({str(tmp_path)!r})))
heavy = {{"torch", "sentence_transformers", "transformers", "safetensors", "tokenizers", "huggingface_hub", "pandas"}}
print(sorted(heavy & set(sys.modules)), embeddings.documents.shape, embeddings.model["counts"]["empty_documents"])
"""
    options = ModelOptions(cache_dir=tmp_path)
    cold = embed(collection_of(TEXTS, ["a", "dogs"]), open_embedder(spec, options), Store(tmp_path))
    warm = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert warm.stdout.strip() == f"[] {cold.documents.shape} 1"
