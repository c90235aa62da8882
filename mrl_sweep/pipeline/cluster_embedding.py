"""Embedding on a Ray cluster: actors hold the model, take missing texts, put shards of their own. The store is the only progress.

A hosted model is asked from one process, so that there is one rate limit: that is `embed`, which also comes after this.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np

from mrl_sweep.embedding import Embedder, Role, Store, VectorSource
from mrl_sweep.embedding.batches import windows
from mrl_sweep.embedding.fill import STAGES, Filling, fill
from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.events import Note, OnEvent, Progress, ignore
from mrl_sweep.execution.cluster import ask_nodes, our_error
from mrl_sweep.execution.ray import RayExecutor
from mrl_sweep.files.digests import text_digests
from mrl_sweep.store.space import Space
from mrl_sweep.types import Collection

CORES_PER_MODEL: Final = 4
"""Of an actor without a GPU: a model's own threads gain little from more."""

IN_HAND: Final = 2
"""Windows of texts an actor: one at work, one waiting."""

LEAST_TEXTS: Final = 1000
"""Missing texts from which several copies of the model are worth their opening."""

Opener = Callable[[], tuple[Embedder | VectorSource, Store]]
Chunk = tuple[list[str], list[str]]
"""Texts and their ids."""


class Filler:
    """What an actor is: a model and the store, kept from one chunk to the next."""

    def __init__(self, open_model: Opener) -> None:
        embedder, self._store = open_model()
        if not isinstance(embedder, Embedder):
            raise TypeError(f"{embedder.name} embeds nothing")
        self._embedder = embedder
        self._spaces: dict[Role, Space] = {}

    def fill(self, role: Role, texts: Sequence[str], ids: Sequence[str]) -> int:
        """Embeds those of the texts that the store does not hold; how many texts there were. As `fill` otherwise."""
        space = self._spaces.setdefault(role, self._store.space(self._embedder.identity(role)))
        filling = Filling(texts=lambda: texts, role=role, total=len(texts), name_of=ids.__getitem__, rewrite=False)
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
    """Puts the vectors of these roles' texts into the store, where many are missing; `embed` reads them from there.

    Raises EnvironmentFault where a node does not see the store, and whatever `fill` raises on a node. A worker that dies costs
    what it has not put yet: another one takes its texts.
    """
    embedder, store = model
    if not isinstance(embedder, Embedder) or embedder.batching.paid:
        return
    documents, queries = collection.documents, collection.queries
    sides: dict[Role, tuple[Callable[[], Iterable[str]], Sequence[str]]] = {
        Role.DOCUMENT: (documents.texts, documents.ids),
        Role.QUERY: (lambda: queries.texts, queries.ids),
    }
    for role in roles:
        texts, ids = sides[role]
        space = store.space(embedder.identity(role))
        if sum(len(some) for some, _ in missing(space, texts(), ids, least)) < least:
            continue
        space.begin(embedder.facts())
        refuse_unseen(executor.ray, store, open_model, role)
        done, total = 0, len(ids)
        for n in _filled(executor, open_model, role, missing(space, texts(), ids)):
            done += n
            on_event(Progress(STAGES[role], done, total, "texts"))
        on_event(Note(f"{done:,} {role} texts embedded on the cluster"))


def missing(space: Space, texts: Iterable[str], ids: Sequence[str], most: int | None = None) -> Iterator[Chunk]:
    """The texts that the space does not hold, window by window; no more windows once there are `most`."""
    start = n = 0
    for window in windows(texts):
        digests = text_digests(window)
        absent = np.flatnonzero(space.find(digests) < 0)
        rows = np.sort(absent[np.unique(digests[absent], axis=0, return_index=True)[1]]).tolist()
        if rows:
            yield [window[row] for row in rows], [ids[start + row] for row in rows]
        start, n = start + len(window), n + len(rows)
        if most is not None and n >= most:
            return


def refuse_unseen(ray: Any, store: Store, open_model: Opener, role: Role) -> None:
    """EnvironmentFault where a node does not see what this process has just put into the store."""

    def sees() -> bool:
        embedder, there = open_model()
        return isinstance(embedder, Embedder) and there.facts(embedder.identity(role)) is not None

    blind = [name for name, seen in ask_nodes(ray, sees) if not seen]
    if blind:
        raise EnvironmentFault(
            f"{len(blind)} of the cluster's nodes do not see the store {store.root}, or another model: {blind[0]}",
            "put store and model where every node can reach them: --store s3://BUCKET/PREFIX, or a shared folder",
        )


def _filled(executor: RayExecutor, open_model: Opener, role: Role, chunks: Iterator[Chunk]) -> Iterator[int]:
    """Has the chunks embedded; yields how many texts as they come back. Leaves no actor behind."""
    ray, resources = executor.ray, executor.ray.cluster_resources()
    n_gpus, n_cores = int(resources.get("GPU", 0)), max(1, int(resources.get("CPU", 1)))
    cores = min(CORES_PER_MODEL, n_cores)
    wanted = {"num_gpus": 1, "num_cpus": 0} if n_gpus else {"num_cpus": cores}
    actor = ray.remote(Filler).options(max_restarts=executor.retries, max_task_retries=executor.retries, **wanted)
    actors = [actor.remote(open_model) for _ in range(n_gpus or n_cores // cores)]
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
