"""Built indexes kept on disk under what they were built from, so that a later run need not build them again."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mrl_sweep.deploying.index_spec import IndexSpec
from mrl_sweep.deploying.indexes.building import Built, IndexCut
from mrl_sweep.deploying.indexes.faiss_index import FAISS_VERSION, read_index
from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.files import json_digest, replacing
from mrl_sweep.types import Advice, Vectors

FORMAT: Final = 1
_MEASURED: Final = ("train_s", "build_s", "resident_bytes", "certified")


@dataclass(frozen=True, slots=True)
class IndexShelf:
    """A folder of `NAME.faiss` files, each beside a `NAME.json` written last that tells what it was built from.

    `content` identifies the vectors (a digest of the documents' embeddings); search parameters and queries play no part.
    """

    folder: Path
    content: str

    def take(self, vectors: Vectors, cut: IndexCut, spec: IndexSpec, *, seed: int) -> Built | None:
        """The index as it was built, with the times it took then; None where there is none, or not a whole one."""
        facts = self._facts(vectors, cut, spec, seed)
        path = self._path(facts)
        try:
            card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            if card["facts"] != facts or card["bytes"] != path.stat().st_size:
                return None
            index = read_index(path, spec, sign=int(card["sign"]))
            if len(index) != len(vectors):
                return None
            return Built(
                index,
                **{name: card[name] for name in _MEASURED},
                advice=tuple(Advice(**advice) for advice in card["advice"]),
            )
        except (OSError, ValueError, KeyError, TypeError, RuntimeError):
            return None

    def put(self, built: Built, vectors: Vectors, cut: IndexCut, *, seed: int) -> Path:
        """Writes the index, then its card, each under a temporary name first; returns the index file."""
        facts = self._facts(vectors, cut, built.index.spec, seed)
        path = self._path(facts)
        advice = [{"code": one.code, "message": one.message, "hint": one.hint} for one in built.advice]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as draft:
                built.index.write(draft)
            card = {"facts": facts, "bytes": path.stat().st_size, "sign": built.index.sign, "advice": advice}
            card |= {name: getattr(built, name) for name in _MEASURED}
            text = json.dumps(card, indent=1)
            with replacing(path.with_suffix(".json")) as draft:
                draft.write_text(text, encoding="utf-8")
        except (OSError, RuntimeError) as error:
            message = (
                f"cannot keep {path.name} in {self.folder} (needs about {built.index.size_bytes() / 2**20:,.0f} MiB): {error}"
            )
            raise EnvironmentFault(message, "free some space, or leave out --keep-indexes") from error
        return path

    def _facts(self, vectors: Vectors, cut: IndexCut, spec: IndexSpec, seed: int) -> dict[str, Any]:
        rotation = None if cut.rotation is None else hashlib.sha256(cut.rotation.tobytes()).hexdigest()
        return {
            "format": FORMAT,
            "faiss": FAISS_VERSION,
            "content": self.content,
            "shape": list(vectors.shape),
            "factory": spec.factory,
            "dim": cut.dim,
            "similarity": str(cut.similarity),
            "rotation": rotation,
            "seed": seed,
        }

    def _path(self, facts: Mapping[str, Any]) -> Path:
        name = re.sub(r"[^A-Za-z0-9]+", "-", facts["factory"])[:40].strip("-")
        return self.folder / f"{name}-{facts['dim']}-{json_digest(facts)}.faiss"
