"""The configured models and the store for their vectors, filled by this process or by the actors of a Ray cluster.

On a cluster, each actor holds the model, takes missing texts and puts shards of its own: only the store records progress. A
hosted model is asked by one process, so that there is one rate limit: by `embed`, which also follows the actors' work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mrl_sweep.embedding import Embedder, ModelOptions, Role, Store, VectorSource, open_embedder
from mrl_sweep.embedding.fill import STAGES, Filling, fill, windows
from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.events import Note, OnEvent, Progress, ignore
from mrl_sweep.execution.cluster import ask_nodes, our_error
from mrl_sweep.files.digests import first_rows, text_digests
from mrl_sweep.ranking.counting import Executor
from mrl_sweep.record import record
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.settings.paths import default_store, local_store
from mrl_sweep.store.space import Space
from mrl_sweep.types import Collection
from mrl_sweep.words import plural

if TYPE_CHECKING:
    from mrl_sweep.execution.ray import RayExecutor

CORES_PER_MODEL: Final = 4
"""Cores of an actor without a GPU: a model's own threads gain little from more."""

IN_HAND: Final = 2
"""Windows of texts per actor: one at work, one waiting."""

LEAST_TEXTS: Final = 1000
"""Missing texts from which several copies of the model are worth their opening."""

Opener = Callable[[], tuple[Embedder | VectorSource, Store]]
Chunk = tuple[list[str], list[str]]
"""Texts and their ids."""


@record
class Model:
    """The model of the documents, that of the queries (None: the same one), and the store for their vectors."""

    documents: Embedder | VectorSource
    queries: Embedder | VectorSource | None
    store: Store

    def identity(self) -> dict[str, Any]:
        """Returns what decides the vectors, by role, as far as it is known before they are made; the manifest holds it."""
        models = {Role.DOCUMENT: self.documents, Role.QUERY: self.queries or self.documents}
        return {role.value: dict(model.identity(role)) for role, model in models.items()}


def open_model(config: SweepConfig) -> Model:
    """Returns the configured models, not loaded yet, and the store for their vectors. Raises what `open_embedder` raises."""
    queries = open_embedder(*_spec(config, Role.QUERY)) if config.model.query_model else None
    store = Store(config.run.store or default_store(), dtype=config.run.store_dtype)
    return Model(open_embedder(*_spec(config, Role.DOCUMENT)), queries, store)


def embed_there(
    config: SweepConfig, executor: Executor, collection: Collection, model: Model, on_event: OnEvent = ignore
) -> None:
    """Has the nodes of a Ray executor embed what the store lacks, each model the texts of its roles; else does nothing."""
    from mrl_sweep.execution.ray import RayExecutor

    if not isinstance(executor, RayExecutor):
        return
    work = [(model.documents, tuple(Role))]
    if model.queries is not None:
        work = [(model.documents, (Role.DOCUMENT,)), (model.queries, (Role.QUERY,))]
    for embedder, roles in work:
        there = partial(_open_with_store, *_spec(config, roles[0]), model.store.root, config.run.store_dtype)
        embed_on_cluster(executor, collection, (embedder, model.store), there, roles=roles, on_event=on_event)


def model_options(config: SweepConfig) -> ModelOptions:
    """Returns the options by which the configured model is opened."""
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
    """Returns the name of a role's model, and the options by which it is opened.

    `revision` is for the documents' model alone; so is `base_url`, unless the queries' model is of the same provider or the
    documents need none.
    """
    name, queries, options = config.model.name or "", config.model.query_model, model_options(config)
    if role is Role.DOCUMENT or queries is None:
        return name, options
    scheme = name.partition(":")[0]
    shared = scheme == queries.partition(":")[0] or isinstance(open_embedder(name, options), VectorSource)
    return queries, replace(options, revision=None, base_url=options.base_url if shared else None)


class Filler:
    """An actor of the cluster: a model and the store, kept from one chunk of texts to the next."""

    def __init__(self, open_model: Opener) -> None:
        embedder, self._store = open_model()
        if not isinstance(embedder, Embedder):
            raise TypeError(f"{embedder.name} embeds nothing")
        self._embedder = embedder
        self._spaces: dict[Role, Space] = {}

    def fill(self, role: Role, texts: Sequence[str], ids: Sequence[str]) -> int:
        """Embeds the texts that the store does not hold; returns how many were given. Raises what `embedding.fill.fill` does."""
        space = self._spaces.setdefault(role, self._store.space(self._embedder.identity(role)))
        filling = Filling(texts=lambda: texts, role=role, total=len(texts), name_of=ids.__getitem__, alone=True)
        fill(space, self._embedder, filling)
        return len(texts)


def embed_on_cluster(
    executor: RayExecutor,
    collection: Collection,
    model: tuple[Embedder | VectorSource, Store],
    open_model: Opener,
    *,
    roles: Iterable[Role] = tuple(Role),
    least: int = LEAST_TEXTS,
    on_event: OnEvent = ignore,
) -> None:
    """Puts the vectors of these roles' texts into the store, where `least` or more are missing and the model is not a paid one.

    Raises EnvironmentFault where a node does not see the store, and what `fill` raises on a node. A worker that dies costs what
    it has not put yet: another one takes its texts.
    """
    embedder, store = model
    if not isinstance(embedder, Embedder) or embedder.batching.paid:
        return
    documents, queries, window = collection.documents, collection.queries, embedder.batching.window
    sides: dict[Role, tuple[Callable[[], Iterable[str]], Sequence[str]]] = {
        Role.DOCUMENT: (documents.texts, documents.ids),
        Role.QUERY: (lambda: queries.texts, queries.ids),
    }
    for role in roles:
        texts, ids = sides[role]
        space = store.space(embedder.identity(role))
        if sum(len(some) for some, _ in missing(space, texts(), ids, window, most=least)) < least:
            continue
        space.begin(embedder.facts())
        refuse_unseen(executor.ray, store, open_model, role)
        done, total = 0, len(ids)
        for n in _filled(executor, open_model, role, missing(space, texts(), ids, window)):
            done += n
            on_event(Progress(STAGES[role], done, total, "texts"))
        on_event(Note(f"{plural(done, f'{role} text')} embedded on the cluster"))


def missing(space: Space, texts: Iterable[str], ids: Sequence[str], window: int, *, most: int | None = None) -> Iterator[Chunk]:
    """Yields the texts that the space does not hold, with their ids, `window` texts at a time; stops once there are `most`."""
    start = n = 0
    for some in windows(texts, window):
        digests = text_digests(some)
        absent = np.flatnonzero(space.find(digests) < 0)
        rows = absent[first_rows(digests[absent])].tolist()
        if rows:
            yield [some[row] for row in rows], [ids[start + row] for row in rows]
        start, n = start + len(some), n + len(rows)
        if most is not None and n >= most:
            return


def refuse_unseen(ray: Any, store: Store, open_model: Opener, role: Role) -> None:
    """Raises EnvironmentFault where a node does not see what this process has just put into the store."""

    def sees() -> bool:
        embedder, there = open_model()
        return isinstance(embedder, Embedder) and there.facts(embedder.identity(role)) is not None

    blind = [name for name, seen in ask_nodes(ray, sees) if not seen]
    if blind:
        raise EnvironmentFault(
            f"{len(blind)} of the cluster's nodes do not see the store {store.root}, or another model: {blind[0]}",
            "put store and model where every node can reach them: --store s3://BUCKET/PREFIX, or a shared folder",
        )


def actors_of(resources: Mapping[str, float], device: str | None) -> tuple[int, dict[str, int]]:
    """Returns how many actors embed on a cluster, and the resources of each: a GPU where there are any and `device` allows."""
    n_gpus = int(resources.get("GPU", 0)) if device != "cpu" else 0
    n_cores = max(1, int(resources.get("CPU", 1)))
    cores = min(CORES_PER_MODEL, n_cores)
    return (n_gpus, {"num_gpus": 1, "num_cpus": 0}) if n_gpus else (n_cores // cores, {"num_cpus": cores})


def _filled(executor: RayExecutor, open_model: Opener, role: Role, chunks: Iterator[Chunk]) -> Iterator[int]:
    """Has the chunks embedded; yields the number of texts of each as it comes back. Leaves no actor behind."""
    ray = executor.ray
    n_actors, wanted = actors_of(ray.cluster_resources(), executor.device)
    actor = ray.remote(Filler).options(max_restarts=executor.retries, max_task_retries=executor.retries, **wanted)
    actors = [actor.remote(open_model) for _ in range(n_actors)]
    free = deque(actors * IN_HAND)
    working: dict[Any, Any] = {}
    try:
        while True:
            while free and (chunk := next(chunks, None)):
                one = free.popleft()
                working[one.fill.remote(role, *chunk)] = one
            if not working:
                return
            (finished,), _ = ray.wait(list(working), num_returns=1)
            free.append(working.pop(finished))
            yield ray.get(finished)
    except ray.exceptions.RayError as error:
        raise our_error(error) from error
    finally:
        for one in actors:
            with suppress(Exception):  # the cluster may be gone already
                ray.kill(one)
