"""Tiny real models, built on the spot."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

WORDS = re.findall(r"\S+", "the cat sat on a mat while dogs run fast over green hills query passage : search _ document")


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real sentence-transformers folder: random BERT, 32 dimensions, 12 tokens at most, with prompts and truncate_dim 8."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast  # type: ignore[attr-defined]

    folder = tmp_path_factory.mktemp("bert")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(WORDS)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder / "base")
    torch.manual_seed(7)
    shape: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    bert = BertModel(BertConfig(vocab_size=len(vocabulary), max_position_embeddings=40, **shape))
    torch.nn.init.normal_(
        cast(Any, bert).encoder.layer[-1].output.LayerNorm.bias
    )  # as in a trained one: rows do not have mean zero
    bert.save_pretrained(folder / "base")
    transformer = Transformer(str(folder / "base"), max_seq_length=12)
    model = SentenceTransformer(
        modules=[transformer, Pooling(32)],
        prompts={"query": "query : ", "document": "passage : ", "other": "search : "},
        similarity_fn_name="dot",
        truncate_dim=8,
        device="cpu",
    )
    model.save(str(folder / "model"), create_model_card=False)
    return folder / "model"


@pytest.fixture(scope="session")
def tiny_static(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static model of 16 dimensions without prompts."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokens = Tokenizer(WordLevel({word: i for i, word in enumerate(dict.fromkeys(["[UNK]", *WORDS]))}, unk_token="[UNK]"))
    tokens.pre_tokenizer = Whitespace()
    weights = np.random.default_rng(3).standard_normal((tokens.get_vocab_size(), 16)).astype(np.float32)
    folder = tmp_path_factory.mktemp("static") / "model"
    SentenceTransformer(modules=[StaticEmbedding(tokens, weights)], device="cpu").save(str(folder), create_model_card=False)
    return folder
