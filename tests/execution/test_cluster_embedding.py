"""Embedding on a real Ray of two workers: actors fill the store, and nothing else knows how far they are."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from embedding_helpers import CountingEmbedder, Dying, collection_of, vectors_of

from mrl_sweep.embedding import Batching, Role, Store, embed
from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.pipeline.models import CORES_PER_MODEL, actors_of, embed_on_cluster, missing, refuse_unseen
from mrl_sweep.store.space import COSTLY_S

TEXTS = [f"text {i}" for i in range(3000)]


def opener(root: Path, embedder: CountingEmbedder, helpers: str = str(Path(__file__).parents[1])) -> Any:
    """Opens a model and the store on a node, which does not find the tests' own modules by itself."""

    def open_there() -> Any:
        import sys

        sys.path.insert(0, helpers)
        from mrl_sweep.embedding import Store

        return embedder, Store(root)

    return open_there


def by_value() -> None:
    """The tests' own classes travel with what uses them."""
    import embedding_helpers
    from ray import cloudpickle

    for module in (embedding_helpers, sys.modules[__name__]):
        cloudpickle.register_pickle_by_value(module)


@pytest.mark.parametrize("dies", [False, True])
def test_actors_fill_the_store_and_a_death_costs_one_batch(ray_executor: Any, tmp_path: Path, dies: bool) -> None:
    """Of a model of which a batch is worth a shard."""
    by_value()
    texts, batching = TEXTS[:1000], Batching(texts=20, window=500)
    there = Dying(batching=batching, folder=str(tmp_path), deaths={10: 0, 20: 0} if dies else {}, batch_s=COSTLY_S * dies)
    here, store = CountingEmbedder(batching=batching), Store(tmp_path / "store")
    collection = collection_of(texts)
    embed_on_cluster(ray_executor, collection, (here, store), opener(tmp_path / "store", there), least=1000)
    embedded = (tmp_path / "embedded").read_text().splitlines()
    assert set(embedded) == set(texts)
    assert len(embedded) - len(texts) == len(there.deaths) * 20, "what was in hand at each of two deaths, and no more"
    embeddings = embed(collection, here, store)
    assert [text for text in here.asked if text in texts] == []
    assert np.array_equal(embeddings.documents.read(0, len(texts)), vectors_of(texts))


def test_few_missing_texts_are_left_to_the_driver(tmp_path: Path) -> None:
    store = Store(tmp_path)
    embed_on_cluster(cast(Any, None), collection_of(TEXTS[:50]), (CountingEmbedder(), store), cast(Any, None), least=51)
    assert not list(tmp_path.iterdir())


def test_a_hosted_model_is_asked_by_one_process(tmp_path: Path) -> None:
    paid = CountingEmbedder(batching=Batching(paid=True))
    embed_on_cluster(cast(Any, None), collection_of(TEXTS), (paid, Store(tmp_path)), cast(Any, None), least=1)
    assert paid.asked == []


@pytest.mark.parametrize(
    ("resources", "device", "actors"),
    [
        ({"CPU": 16.0, "GPU": 2.0}, None, (2, {"num_gpus": 1, "num_cpus": 0})),
        ({"CPU": 16.0, "GPU": 2.0}, "cuda", (2, {"num_gpus": 1, "num_cpus": 0})),
        ({"CPU": 16.0, "GPU": 2.0}, "cpu", (16 // CORES_PER_MODEL, {"num_cpus": CORES_PER_MODEL})),
        ({"CPU": 16.0, "GPU": 0.5}, None, (16 // CORES_PER_MODEL, {"num_cpus": CORES_PER_MODEL})),
        ({"CPU": 1.0}, None, (1, {"num_cpus": 1})),
        ({}, None, (1, {"num_cpus": 1})),
    ],
)
def test_a_gpu_each_embeds_unless_the_processor_is_asked_for(resources: Any, device: str | None, actors: Any) -> None:
    assert actors_of(resources, device) == actors


def test_only_missing_texts_are_sent_each_once(tmp_path: Path) -> None:
    embed(collection_of(TEXTS[:10]), CountingEmbedder(), Store(tmp_path))
    space = Store(tmp_path).space(CountingEmbedder().identity(Role.DOCUMENT))
    texts = [*TEXTS[:12], TEXTS[11], TEXTS[12]]
    assert list(missing(space, texts, [str(i) for i in range(14)], 16)) == [(TEXTS[10:13], ["10", "11", "13"])]


def test_a_node_that_does_not_see_the_store_is_named_before_the_work(ray_executor: Any, tmp_path: Path) -> None:
    by_value()
    with pytest.raises(EnvironmentFault, match="1 of the cluster's nodes do not see the store") as caught:
        refuse_unseen(ray_executor.ray, Store(tmp_path), opener(tmp_path / "elsewhere", CountingEmbedder()), Role.DOCUMENT)
    assert "--store s3://" in caught.value.hint


def test_what_a_model_raises_on_a_node_is_raised_here_and_no_actor_is_left(ray_executor: Any, tmp_path: Path) -> None:
    by_value()

    class Failing(CountingEmbedder):
        def encode(self, texts: Sequence[str], role: Role) -> None:  # noqa: ARG002
            raise EnvironmentFault("the model is out of order")

    with pytest.raises(EnvironmentFault, match="the model is out of order"):
        embed_on_cluster(
            ray_executor, collection_of(TEXTS), (CountingEmbedder(), Store(tmp_path)), opener(tmp_path, Failing()), least=1
        )
    deadline = time.monotonic() + 20
    while ray_executor.ray.available_resources().get("CPU", 0) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert ray_executor.ray.available_resources()["CPU"] == 2
