"""The configured models: one for documents and queries, or one for each, and the store that keeps what they make."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from mrl_sweep.embedding import Embedder, ModelOptions, Role, Store, VectorSource, open_embedder
from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.ranking.counting import Executor
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.settings.folders import default_store, local_store
from mrl_sweep.types import Collection


@dataclass(frozen=True, slots=True)
class Model:
    """What makes the vectors of the documents, what those of the queries where that is another one, and where they are kept."""

    documents: Embedder | VectorSource
    queries: Embedder | VectorSource | None
    store: Store

    def identity(self) -> dict[str, Any]:
        """What decides the vectors, by role, as far as it is known before they are made: the run's manifest holds it."""
        models = {Role.DOCUMENT: self.documents, Role.QUERY: self.queries or self.documents}
        return {role.value: dict(model.identity(role)) for role, model in models.items()}


def open_model(config: SweepConfig) -> Model:
    """The configured models, which are not loaded yet, and the store for their vectors."""
    queries = open_embedder(*_spec(config, Role.QUERY)) if config.model.query_model else None
    store = Store(config.run.store or default_store(), dtype=config.run.store_dtype)
    return Model(open_embedder(*_spec(config, Role.DOCUMENT)), queries, store)


def embed_there(
    config: SweepConfig, executor: Executor, collection: Collection, model: Model, on_event: OnEvent = ignore
) -> None:
    """Has the executor's nodes embed what the store lacks, each model the texts of its roles; nothing where it has no nodes."""
    from mrl_sweep.execution.ray import RayExecutor
    from mrl_sweep.pipeline.cluster_embedding import embed_on_cluster

    if not isinstance(executor, RayExecutor):
        return
    work = [(model.documents, tuple(Role))]
    if model.queries is not None:
        work = [(model.documents, (Role.DOCUMENT,)), (model.queries, (Role.QUERY,))]
    for embedder, roles in work:
        there = partial(_open_with_store, *_spec(config, roles[0]), model.store.root, config.run.store_dtype)
        embed_on_cluster(executor, collection, (embedder, model.store), there, roles=roles, on_event=on_event)


def model_options(config: SweepConfig) -> ModelOptions:
    """How the configured model is to be opened."""
    model = config.model
    return ModelOptions(
        revision=model.revision,
        query_prompt=model.query_prompt,
        document_prompt=model.document_prompt,
        trust_remote_code=model.trust_remote_code,
        base_url=model.base_url,
        batch_size=model.batch_size,
        device=model.device,
        max_length=model.max_length,
        backend=model.backend,
        processes=model.processes,
        offline=config.run.offline,
        cache_dir=local_store(config),
    )


def _open_with_store(name: str, options: ModelOptions, store: Path | str, dtype: str) -> tuple[Embedder | VectorSource, Store]:
    return open_embedder(name, options), Store(store, dtype=dtype)


def _spec(config: SweepConfig, role: Role) -> tuple[str, ModelOptions]:
    """The name of a role's model, and how it is opened.

    A revision is the documents' model's; so is the address of a server, unless the queries' model is of the same provider or the
    documents need none.
    """
    name, queries, options = config.model.name or "", config.model.query_model, model_options(config)
    if role is Role.DOCUMENT or queries is None:
        return name, options
    scheme = name.partition(":")[0]
    shared = scheme == queries.partition(":")[0] or isinstance(open_embedder(name, options), VectorSource)
    return queries, replace(options, revision=None, base_url=options.base_url if shared else None)
