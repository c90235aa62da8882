"""The Matryoshka table of token vectors that ships in WordLlama's wheel, as a static embedding; nothing from the network."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Final

import numpy as np

from mrl_sweep.embedding.families import family_of
from mrl_sweep.embedding.local.sentence_transformers import LocalModel, Origin
from mrl_sweep.embedding.protocol import ModelOptions
from mrl_sweep.errors import EnvironmentFault, MissingExtra
from mrl_sweep.files.file_digests import FileDigests

_WEIGHTS: Final = "weights/l2_supercat_256.safetensors"
_TOKENIZER: Final = "tokenizers/l2_supercat_tokenizer_config.json"


def open_wordllama(options: ModelOptions) -> LocalModel:
    """The 256-column table and its tokenizer as they lie in the wheel. The package itself is not imported.

    Raises MissingExtra without the package, EnvironmentFault where a release of it has other files.
    """
    spec = importlib.util.find_spec("wordllama")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra("wordllama", "wordllama")
    root = Path(next(iter(spec.submodule_search_locations)))
    files = [root / _WEIGHTS, root / _TOKENIZER]
    missing = [str(file.relative_to(root)) for file in files if not file.is_file()]
    if missing:
        raise EnvironmentFault(f"this release of wordllama has no {', '.join(missing)}", "pip install 'wordllama>=0.3,<0.5'")
    digest = FileDigests(options.cache_dir).of(files, root)
    origin = Origin(
        name="wordllama",
        key={"provider": "wordllama", "model": "l2_supercat_256", "revision": digest},
        open=lambda: _open(root, options),
        family=family_of("wordllama"),
        details={"provider": "wordllama", "name": "l2_supercat_256", "digest": digest},
    )
    return LocalModel(origin, options)


def _open(root: Path, options: ModelOptions) -> Any:
    from safetensors.numpy import load_file
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

    try:
        from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    except ImportError:  # before sentence-transformers 6
        from sentence_transformers.models import StaticEmbedding  # type: ignore[no-redef]
    (table,) = load_file(root / _WEIGHTS).values()
    tokens = Tokenizer.from_file(str(root / _TOKENIZER))
    tokens.no_truncation()
    tokens.no_padding()
    module = StaticEmbedding(tokens, embedding_weights=table.astype(np.float32))
    return SentenceTransformer(modules=[module], device=options.device or "cpu")
