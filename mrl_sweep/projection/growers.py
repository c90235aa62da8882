"""Growth of exact candidates under one link: the population fitted to each, and each query's measure among more documents."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from scipy import special

from mrl_sweep.projection.population import (
    DistractorCounts,
    Link,
    Population,
    Quadrature,
    fit,
    quadrature,
    rounded,
    scores,
)
from mrl_sweep.record import record
from mrl_sweep.types import FloatArray, IntArray


@record
class Fitted:
    """A fitted candidate has a population, and `pull` (n_queries, 2): what one more of a query adds to (mu / tau, log tau)."""

    population: Population
    pull: FloatArray


@record
class Grower:
    """A grower holds all exact candidates under one link, fitted to where relevant documents stand among `n` distractors."""

    standings: tuple[DistractorCounts, ...]
    nodes: Quadrature
    fitted: tuple[Fitted, ...]
    n: int

    @classmethod
    def of(
        cls, link: Link, standings: Sequence[DistractorCounts], n_distractors: int, ordered_again: Sequence[DistractorCounts] = ()
    ) -> Grower:
        """Fits each of `standings`; the counts of `ordered_again`, the standings of shortlists, get nodes too."""
        counts, more = ([np.minimum(rounded(s.distractors), n_distractors) for s in each] for each in (standings, ordered_again))
        nodes = quadrature(link, np.concatenate([*counts, *more]), n_distractors)
        fitted = tuple(_fit(nodes, c, s) for c, s in zip(counts, standings, strict=True))
        return cls(tuple(standings), nodes, fitted, n_distractors)

    def grown(self, reward: FloatArray, extra: int) -> tuple[FloatArray, FloatArray]:
        """Grows each query's measure by `extra` documents: its expectation and its influence, both (n_candidates, n_queries).

        The influence is the expectation plus the query's effect on all queries' through the fit: its mean over resampled queries
        varies as the whole estimate does, without fitting again (the infinitesimal jackknife of Jaeckel 1972).
        """
        k = len(reward)
        near = [np.flatnonzero(s.distractors + s.relevant < k) for s in self.standings]
        codes = [s.distractors[i] * k + s.distractors[i] + s.relevant[i] for s, i in zip(self.standings, near, strict=True)]
        unique, which = np.unique(np.concatenate(codes), return_inverse=True)
        nodes = self.nodes.only(self.nodes.rows(np.minimum(unique // k, self.nodes.counts[-1])))
        rewards = _expected_rewards(nodes, unique % k, reward, extra)
        starts = np.cumsum([0, *(len(code) for code in codes)])
        pairs = [(i, which[a:b]) for i, a, b in zip(near, starts[:-1], starts[1:], strict=True)]
        answers = [
            _of_candidate(s, one, nodes, rewards, *pair) for s, one, pair in zip(self.standings, self.fitted, pairs, strict=True)
        ]
        return np.stack([value for value, _ in answers]), np.stack([influence for _, influence in answers])


def _fit(nodes: Quadrature, counts: IntArray, standing: DistractorCounts) -> Fitted:
    present, which = np.unique(nodes.rows(counts), return_inverse=True)
    own = nodes.only(present)
    population = fit(own, np.bincount(which, standing.weight).astype(np.float64))
    each = scores(population.posterior(own))[which] * standing.weight[:, None]
    by_query = np.stack([np.bincount(standing.queries, column, len(standing.n_retrieved)) for column in each.T], axis=1)
    return Fitted(population, by_query @ np.linalg.inv(population.information))


def _expected_rewards(nodes: Quadrature, places: IntArray, reward: FloatArray, extra: int) -> FloatArray:
    """(n_rows, n_nodes) E[reward at place + B], B ~ Binomial(extra, p of the node), for one place below k and one count a row.

    Rows of one count share their nodes and lie together.
    """
    out = np.empty(nodes.x.shape)
    starts = np.flatnonzero(np.diff(nodes.counts, prepend=-1))
    for start, stop in itertools.pairwise([*starts.tolist(), len(out)]):
        out[start:stop] = rewards_at(nodes.link.logs(nodes.x[start]), places[start:stop], reward, extra)
    return out


def rewards_at(logs: tuple[FloatArray, FloatArray], places: IntArray, reward: FloatArray, extra: int) -> FloatArray:
    """Returns (n_places, n_x) E[reward at place + B], B ~ Binomial(extra, p), for places below k.

    `logs` holds log p and log(1 - p), both (n_x,); `reward` is (k,).
    """
    log_p, log_q = logs
    padded = np.append(reward, np.zeros(len(reward)))
    ahead = np.arange(min(len(reward) - int(places.min(initial=0)), extra + 1))
    ways = special.gammaln(extra + 1.0) - special.gammaln(ahead + 1.0) - special.gammaln(extra - ahead + 1.0)
    chances = np.exp(ways + ahead * log_p[:, None] + (extra - ahead) * log_q[:, None])
    rewards: FloatArray = padded[places[:, None] + ahead] @ chances.T
    return rewards


def _of_candidate(
    standing: DistractorCounts, fitted: Fitted, nodes: Quadrature, rewards: FloatArray, pairs: IntArray, rows: IntArray
) -> tuple[FloatArray, FloatArray]:
    """The expectation and the influence of each query; `pairs` are the documents within reach of the first k, at these `rows`."""
    used, where = np.unique(rows, return_inverse=True)
    mean, slope = fitted.population.posterior(nodes.only(used)).expectation(rewards[used])
    worth = standing.worth[pairs]
    value = np.bincount(standing.queries[pairs], worth * mean[where], len(standing.n_retrieved)).astype(np.float64)
    return value, value + fitted.pull @ (worth @ slope[where])
