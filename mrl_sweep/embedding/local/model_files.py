"""What can be known of a local sentence-transformers model from its files alone, without opening it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mrl_sweep.embedding.local.weights import a_file, no_model
from mrl_sweep.embedding.model_families import Family, family_of, read_json
from mrl_sweep.embedding.protocol import ModelOptions, Role
from mrl_sweep.errors import EnvironmentFault, InputError
from mrl_sweep.files import is_there
from mrl_sweep.words import printable

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")
_SMALL_FILES: Final = ["*.json", "*.txt", "*.md", "*.py", "*.model", "*.jinja"]
_WEIGHTLESS: Final = frozenset({".md", ".txt.lock", ".lock", ".png", ".jpg", ".pdf"})
_ROLE_PROMPTS: Final = {Role.QUERY: ("query",), Role.DOCUMENT: ("document", "passage", "corpus")}


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model's files: a person's `folder`, or the snapshot of `repository` at `commit` in the local cache."""

    name: str
    folder: Path
    repository: str | None = None
    commit: str | None = None


def find_model(name: str, options: ModelOptions) -> ModelFiles:
    """The files of a folder or of a name on the Hugging Face hub; small ones are fetched where the cache has none.

    The cache's idea of a branch is kept: a model does not change under a running project unless its revision is asked for.
    Raises InputError (no such folder or name), EnvironmentFault (the hub cannot be reached).
    """
    path = Path(name).expanduser()
    if name and _is_folder(path):
        if not any((path / file).is_file() for file in ("modules.json", "config.json")):
            raise no_model(path)
        folder = path.resolve()
        return ModelFiles(folder.name if folder.name != "model" else f"{folder.parent.name}/model", folder)
    if name and is_there(path):
        raise a_file(path)
    if (
        inner := re.sub(r"^https?://(?:huggingface\.co|hf\.co)/|/(?:tree/[^/]+)?/?$", "", name)
    ) != name and _REPOSITORY.fullmatch(inner):
        raise InputError(f"{printable(name, 120)} is an address, not a model's name", f"--model {inner}")
    if not _REPOSITORY.fullmatch(name):
        raise InputError(f"{name[:120]!r} is neither a folder nor a model's name", "--model FOLDER or --model owner/name")
    for repository in [name] if "/" in name else [f"sentence-transformers/{name}", name]:
        snapshot = _cached(repository, options.revision)
        if snapshot is not None:
            return ModelFiles(name, snapshot, repository, snapshot.name)
    if options.offline:
        raise cannot_load(name, "it is not in the local cache, and --offline forbids the network")
    return _fetch(name, options.revision)


def cannot_load(name: str, reason: str) -> EnvironmentFault:
    """The fault of a model that is not here and cannot be had."""
    return EnvironmentFault(
        f"cannot load the model {name}: {reason}",
        "--model PATH takes a folder with the model's files; or connect once, later runs need no network",
    )


def model_files(folder: Path, backend: str) -> list[Path]:
    """The files that decide a model's vectors: all but hidden ones, texts for people, and other backends' weights."""
    others = {"onnx", "openvino"} - {backend}
    paths = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
        if not hidden and parts[0] not in others and path.suffix.lower() not in _WEIGHTLESS and path.is_file():
            paths.append(path)
    return paths


def family_of_files(files: ModelFiles) -> Family | None:
    """The model's family by its name, else by the name of the model that it was made from."""
    config = read_json(files.folder / "config.json")
    names = [files.repository or files.name, *re.findall(r"models--(.+?)/", files.folder.as_posix() + "/")]
    return family_of(*names, str(config.get("_name_or_path", "")))


@dataclass(frozen=True, slots=True)
class Prompts:
    """The text put before each query and each document, and where it comes from."""

    query: str
    document: str
    origin: str

    def of(self, role: Role) -> str:
        return self.query if role is Role.QUERY else self.document


def prompts_of(folder: Path | None, family: Family | None, options: ModelOptions) -> Prompts:
    """Given ones (by text, or by name of one of the model's), else the model's own configuration, else its family's, else none.

    The same choice as sentence-transformers' `encode_query` and `encode_document`: a default prompt is not applied to either.
    """
    configured = saved_settings(folder).get("prompts") or {}
    origins = []
    texts = {}
    for role, given in ((Role.QUERY, options.query_prompt), (Role.DOCUMENT, options.document_prompt)):
        own = next((configured[name] for name in _ROLE_PROMPTS[role] if configured.get(name) is not None), None)
        of_family = getattr(family, f"{role}_prompt") if family else None
        choices = (("given", given if given is None else configured.get(given, given)), ("model", own), ("family", of_family))
        origin, text = next(((origin, text) for origin, text in choices if text is not None), ("none", ""))
        texts[role] = str(text)
        origins.append(origin)
    origin = origins[0] if origins[0] == origins[1] else f"query: {origins[0]}, document: {origins[1]}"
    return Prompts(texts[Role.QUERY], texts[Role.DOCUMENT], origin)


def saved_settings(folder: Path | None) -> dict[str, Any]:
    """config_sentence_transformers.json; empty where the model has none."""
    return read_json(folder / "config_sentence_transformers.json") if folder else {}


def foreign_code(files: ModelFiles) -> str | None:
    """Other repositories from which the model's configuration takes code."""
    mapped = read_json(files.folder / "config.json").get("auto_map") or {}
    sources = {str(value).split("--")[0] for value in mapped.values() if "--" in str(value)} - {files.repository}
    return ", ".join(sorted(sources)) or None


def pinned(revision: str | None) -> bool:
    """True for a commit: branches and tags can be moved."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def hub_cache() -> Path:
    """The folder in which sentence-transformers and huggingface_hub keep what they downloaded."""
    for variable in ("SENTENCE_TRANSFORMERS_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return Path(os.environ[variable]).expanduser()
    home = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")  # noqa: PTH118
    return Path(home).expanduser() / "hub"


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _cached(repository: str, revision: str | None) -> Path | None:
    base = hub_cache() / f"models--{repository.replace('/', '--')}"
    commit = revision if pinned(revision) else _read_ref(base / "refs" / (revision or "main"))
    folder = base / "snapshots" / commit if commit else None
    is_model = folder is not None and any((folder / file).exists() for file in ("modules.json", "config.json"))
    return folder if is_model else None


def _read_ref(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None


def _fetch(name: str, revision: str | None) -> ModelFiles:
    """Asks the hub which commit the name stands for, and gets the files that tell a model's prompts and sizes."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    unknown: Exception | None = None
    for repository in [name] if "/" in name else [f"sentence-transformers/{name}", name]:
        try:
            HfApi().model_info(repository, revision=revision, timeout=20)
            cache = os.environ.get("SENTENCE_TRANSFORMERS_HOME")
            folder = snapshot_download(repository, revision=revision, allow_patterns=_SMALL_FILES, cache_dir=cache)
            return ModelFiles(name, Path(folder), repository, Path(folder).name)
        except GatedRepoError as error:
            raise InputError(f"{repository} is gated: its licence has to be accepted first", "hf auth login") from error
        except (RepositoryNotFoundError, HFValidationError) as error:
            unknown = error
        except HfHubHTTPError as error:
            if "revision" in str(error).lower():
                raise InputError(f"{repository} has no revision {revision!r}", "--revision COMMIT") from error
            raise cannot_load(name, str(error).splitlines()[0]) from error
        except Exception as error:
            raise cannot_load(name, f"it is not in the local cache and the hub cannot be reached ({error})") from error
    raise InputError(f"there is no model {name} (or it is private)", "--model FOLDER or --model owner/name") from unknown
