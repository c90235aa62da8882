from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mrl_sweep.embedding.model_families import (
    FAMILIES,
    LAYER_NORM,
    family_of,
    halvings,
    refuse_non_prefix,
    says_matryoshka,
    trained_dims,
)
from mrl_sweep.errors import InputError


@pytest.mark.parametrize(
    ("name", "full", "expected"),
    [
        ("nomic-ai/nomic-embed-text-v1.5", 768, (512, 256, 128, 64)),
        ("nomic-ai/nomic-embed-text-v2-moe", 768, (256,)),
        ("text-embedding-3-small", 1536, (768, 512, 384, 192, 96, 48)),
        ("text-embedding-3-large", 3072, (1536, 1024, 768, 384, 256, 192, 96, 48)),
        ("voyage-3.5-lite", 2048, (1024, 512, 256)),
        ("embed-v4.0", 1536, (1024, 512, 256)),
        ("models/gemini-embedding-001", 3072, (1536, 768, 384, 192)),
        ("Snowflake/snowflake-arctic-embed-m-v1.5", 768, (256,)),
        ("jinaai/jina-embeddings-v3", 1024, (768, 512, 256, 128, 64, 32)),
        ("Qwen/Qwen3-Embedding-0.6B", 1024, (512, 256, 128, 64, 32)),
        ("google/embeddinggemma-300m", 768, (512, 256, 128)),
        ("mixedbread-ai/mxbai-embed-large-v1", 1024, (768, 512, 256, 128)),
        ("amazon.titan-embed-text-v2:0", 1024, (512, 256)),
        ("wordllama", 256, (128, 64)),
        ("sentence-transformers/all-MiniLM-L6-v2", 384, ()),
        ("nomic-ai/nomic-embed-text-v1", 768, ()),
        ("Snowflake/snowflake-arctic-embed-m", 768, ()),
    ],
)
def test_the_trained_sizes_of_a_family_are_known_by_name(name: str, full: int, expected: Any) -> None:
    assert trained_dims(family_of(name), full) == expected


def test_only_nomic_1_5_asks_for_a_layer_norm_before_slicing() -> None:
    assert [family.name for family in FAMILIES if family.transform == LAYER_NORM] == ["Nomic Embed v1.5"]


def test_families_that_are_not_prefixes_are_refused_with_the_reason() -> None:
    with pytest.raises(InputError, match=r"stella_en_400M_v5 cannot be cut: .*separate output heads"):
        refuse_non_prefix(family_of("NovaSearch/stella_en_400M_v5"), "stella_en_400M_v5")
    refuse_non_prefix(family_of("wordllama"), "wordllama")
    refuse_non_prefix(None, "anything")


CARD = """# A model
- Loss: [<code>MatryoshkaLoss</code>](https://sbert.net/docs) with these parameters:
  ```json
  {
      "loss": "MultipleNegativesRankingLoss",
      "matryoshka_dims": [
          768,
          512,
          64
      ],
      "matryoshka_weights": [1, 1, 1]
  }
  ```
"""


def test_a_models_own_word_is_asked_in_order_of_table_configuration_and_card(tmp_path: Path) -> None:
    assert trained_dims(None, 768, tmp_path) == ()
    (tmp_path / "README.md").write_text(CARD)
    assert trained_dims(None, 768, tmp_path) == (512, 64)
    (tmp_path / "config.json").write_text(json.dumps({"matryoshka_dimensions": [32, 128, 1024]}))
    assert trained_dims(None, 768, tmp_path) == (128, 32)
    assert trained_dims(family_of("wordllama"), 256, tmp_path) == (128, 64)


def test_a_broken_configuration_says_nothing(tmp_path: Path) -> None:
    for content in ("{", "[1]", '{"matryoshka_dimensions": "many"}'):
        (tmp_path / "config.json").write_text(content)
        assert trained_dims(None, 768, tmp_path) == ()


def test_a_model_may_call_itself_matryoshka_without_sizes(tmp_path: Path) -> None:
    assert not says_matryoshka(tmp_path)
    (tmp_path / "config.json").write_text('{"is_matryoshka": true}')
    assert says_matryoshka(tmp_path)
    assert trained_dims(None, 768, tmp_path) == ()


def test_halvings_stop_at_32() -> None:
    assert halvings(768) == [384, 192, 96, 48]
    assert halvings(64) == [32]
    assert halvings(63) == []
