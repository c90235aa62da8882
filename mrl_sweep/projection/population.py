"""Where relevant documents stand among distractors, and the population (how hard documents are to find) fitted to that.

`DistractorCounts` holds how many distractors, and how many other relevant documents, stand above each. A relevant document with
`c` of `n` distractors above it tells its own p, the chance that a random document scores higher: c ~ Binomial(n, p). Over the
documents x = link(1 - p) is taken as N(mu, tau^2), probit for the projection and logit for its twin; both are fitted by maximum
likelihood, the integral over x by Gauss-Legendre where each likelihood lies.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import numpy as np
from scipy import special

from mrl_sweep.measures.from_ranks import Relevant, discounts
from mrl_sweep.record import record
from mrl_sweep.types import NOT_RETRIEVED, FloatArray, IntArray, Measure, Qrels

TIE_PLACES: Final = 64
"""In a tie a document takes each of the first so many places, and so many evenly spaced ones of those beyond."""

_CELLS_AT_ONCE: Final = 2**21
_FAR: Final = 12.0
"""Standard deviations beyond which no chance is left to speak of (1e-32)."""

_NODES: Final = 96
_TAIL: Final = 1e-14
_STEPS: Final = 60
_ROUNDED_ABOVE: Final = 1000


@record
class Wanted:
    """Holds the relevant documents of a linear measure: a query's value is the sum of its own worth[i] * reward[rank of i].

    `columns` are the places of the relevant pairs among all judgments, `queries` their queries, `n_relevant` (n_queries,) is R,
    and `reward` (k,) what each of the first k ranks brings.
    """

    columns: IntArray
    queries: IntArray
    worth: FloatArray
    n_relevant: IntArray
    reward: FloatArray


def wanted(qrels: Qrels, measure: Measure) -> Wanted:
    """Writes R@k, P@k or nDCG@k as a sum over relevant documents, whose order does not change with the size of the corpus."""
    k, relevant = measure.cutoff or 0, Relevant.of(qrels, measure.lowest_grade)
    queries, reward = relevant.queries, np.ones(k)
    if measure.name == "nDCG":
        weights = discounts(k)
        reward, worth = weights[:-1], relevant.gains / relevant.ideal(weights)[queries]
    else:
        worth = 1.0 / relevant.counts[queries] if measure.name == "R" else np.full(len(queries), 1.0 / k)
    return Wanted(relevant.columns, queries, worth, relevant.counts, reward)


@record
class DistractorCounts:
    """Holds one candidate's retrieved relevant documents: `distractors` and `relevant` above each, `worth` and `weight` as below.

    A document in a tie stands for each place of its group, with its worth and its weight (1 / R, so that each query weighs 1
    in a fit) split among them: `share` is the chance of the place, `pairs` which of the wanted documents it is. `n_retrieved`
    (n_queries,) counts the retrieved relevant documents. `cases` (3, n_cases) are the different triples of distractors, relevant,
    and the query's retrieved; `case` which of them each document is.
    """

    pairs: IntArray
    share: FloatArray
    queries: IntArray
    distractors: IntArray
    relevant: IntArray
    worth: FloatArray
    weight: FloatArray
    n_retrieved: IntArray
    cases: IntArray
    case: IntArray

    def by_query(self, rewards: FloatArray) -> FloatArray:
        """Returns (n_queries,) the measure, from the reward that each document brings."""
        return np.bincount(self.queries, self.worth * rewards, len(self.n_retrieved)).astype(np.float64)


def standing(wanted: Wanted, above: IntArray, tied: IntArray) -> DistractorCounts:
    """Counts the distractors from `above` and `tied` (n_pairs,) of all judgments; documents not retrieved are left out."""
    above, tied = above[wanted.columns], tied[wanted.columns]
    keep = np.flatnonzero(above < NOT_RETRIEVED)
    order = keep[np.lexsort((above[keep], wanted.queries[keep]))]
    queries, above, size = wanted.queries[order], above[order], tied[order] + 1
    n_retrieved = np.bincount(queries, minlength=len(wanted.n_relevant))
    starts = np.flatnonzero((np.diff(queries, prepend=-1) != 0) | (np.diff(above, prepend=-1) != 0))
    members = np.repeat(np.diff(np.append(starts, len(order))), np.diff(np.append(starts, len(order))))
    before = np.repeat(starts, np.diff(np.append(starts, len(order)))) - (np.cumsum(n_retrieved) - n_retrieved)[queries]
    each, ahead, share = _places_in_ties(size)
    peers = np.rint(ahead * (members - 1)[each] / np.maximum(size - 1, 1)[each]).astype(np.int64)
    weight = 1.0 / wanted.n_relevant[queries]
    distractors, relevant = (above - before)[each] + ahead - peers, before[each] + peers
    cases, case = np.unique(np.stack([distractors, relevant, n_retrieved[queries[each]]]), axis=1, return_inverse=True)
    return DistractorCounts(
        pairs=order[each],
        share=share,
        queries=queries[each],
        distractors=distractors,
        relevant=relevant,
        worth=wanted.worth[order][each] * share,
        weight=weight[each] * share,
        n_retrieved=n_retrieved,
        cases=cases,
        case=case.ravel(),
    )


def _places_in_ties(size: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Returns the places that one member of each tie may take: the tie, how many of it are ahead, and the place's chance."""
    places = np.minimum(size, 2 * TIE_PLACES)
    each = np.repeat(np.arange(len(size)), places)
    index = np.arange(len(each)) - np.repeat(np.cumsum(places) - places, places)
    deep, blocks = size[each] - TIE_PLACES, np.maximum(places[each] - TIE_PLACES, 1)
    below = TIE_PLACES + (2 * (index - TIE_PLACES) + 1) * deep // (2 * blocks)
    single = index < TIE_PLACES
    return each, np.where(single, index, below), np.where(single, 1.0, deep / blocks) / size[each]


def in_a_sample(standing: DistractorCounts, reward: FloatArray, *, n_documents: int, n_kept: int) -> FloatArray:
    """Returns (n_queries,) the measure's exact expectation over random samples of `n_kept` documents that keep the relevant ones.

    Of a document's c distractors above, among n, a sample of m keeps Hypergeometric(n, c, m).
    """
    distractors, relevant, n_retrieved = standing.cases
    total, drawn = n_documents - n_retrieved, np.maximum(n_kept - n_retrieved, 0)
    expected = distractors * (drawn / np.maximum(total, 1))
    near = np.flatnonzero(expected - _FAR * np.sqrt(expected) <= len(reward) + _FAR)
    cases = np.stack([distractors, relevant, total, drawn])[:, near]
    values = np.zeros(len(distractors))
    step = max(1, _CELLS_AT_ONCE // len(reward))
    for start in range(0, len(near), step):
        values[near[start : start + step]] = _hypergeometric(cases[:, start : start + step], reward)
    return standing.by_query(values[standing.case])


def _hypergeometric(cases: IntArray, reward: FloatArray) -> FloatArray:
    """E[reward at rank a + H], H ~ Hypergeometric, of each column (c, a, n, m) of `cases`."""
    k = len(reward)
    c, a, n, m = (row[:, None] for row in cases)
    padded = np.append(reward, np.zeros(k))
    kept = np.arange(k)
    possible = (kept <= c) & (kept <= m) & (m - kept <= n - c)
    log_chance = _log_choose(c, kept) + _log_choose(n - c, m - kept) - _log_choose(n, m)
    chance = np.where(possible, np.exp(np.where(possible, log_chance, 0.0)), 0.0)
    sampled = (chance * padded[np.minimum(a + kept, k)]).sum(axis=1)
    whole = padded[np.minimum(a + c, k)[:, 0]]
    expected: FloatArray = np.where((m == n)[:, 0], whole, sampled)
    return expected


def _log_choose(n: IntArray, k: IntArray) -> FloatArray:
    k = np.clip(k, 0, n)
    chosen: FloatArray = special.gammaln(n + 1.0) - special.gammaln(k + 1.0) - special.gammaln(n - k + 1.0)
    return chosen


class Link(StrEnum):
    """A link turns p into a number on the whole line, higher for documents that are easier to find."""

    PROBIT = "probit"
    LOGIT = "logit"

    def logs(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Returns log p and log(1 - p) at `x`, both without cancellation."""
        if self is Link.PROBIT:
            return special.log_ndtr(-x), special.log_ndtr(x)
        return -np.logaddexp(0, x), -np.logaddexp(0, -x)

    def of(self, p: FloatArray) -> FloatArray:
        """Returns x of `p`, held within +-`farthest`."""
        x = -special.ndtri(p) if self is Link.PROBIT else -special.logit(p)
        bounded: FloatArray = np.clip(x, -self.farthest, self.farthest)
        return bounded

    @property
    def farthest(self) -> float:
        """The largest x: beyond it p is below 1e-26, which no corpus can tell from 0."""
        return 12.0 if self is Link.PROBIT else 60.0

    @property
    def prior(self) -> tuple[float, float, float]:
        """Centre and width of mu, centre of tau (a factor e wide): worth one query, it only keeps an uninformed fit finite."""
        return (3.0, 2.0, 1.0) if self is Link.PROBIT else (8.0, 6.0, 3.0)

    @property
    def narrowest(self) -> float:
        """The smallest tau that the nodes resolve."""
        return 0.1 if self is Link.PROBIT else 0.5


@record
class Quadrature:
    """A quadrature has nodes for each of some counts: `x` and `log_weight` (likelihood included), both (n_counts, n_nodes)."""

    link: Link
    counts: IntArray
    x: FloatArray
    log_weight: FloatArray

    def rows(self, counts: IntArray) -> IntArray:
        """Returns the row of each (rounded) count."""
        return np.searchsorted(self.counts, counts)

    def only(self, rows: IntArray) -> Quadrature:
        """Returns the nodes of some rows, in that order."""
        return Quadrature(self.link, self.counts[rows], self.x[rows], self.log_weight[rows])


def rounded(counts: IntArray) -> IntArray:
    """Rounds counts down to three significant digits: below 1000 exact, above it finer than the likelihood can tell p."""
    scale = np.int64(10) ** np.maximum(0, np.log10(np.maximum(counts, 1)).astype(np.int64) - 2)
    return np.where(counts < _ROUNDED_ABOVE, counts, counts // scale * scale)


def quadrature(link: Link, counts: IntArray, n: int) -> Quadrature:
    """Lays Gauss-Legendre nodes over the range of x that leaves out 1e-14 of each count's likelihood over p on either side."""
    unique = np.unique(counts)
    low_p, high_p = special.betaincinv(unique + 1, n - unique + 1, _TAIL), special.betainccinv(unique + 1, n - unique + 1, _TAIL)
    low = link.of(high_p)
    high = np.where(unique == 0, link.farthest, link.of(low_p))
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    half = (np.maximum(high, low + 1e-9) - low)[:, None] / 2
    x = low[:, None] + half * (nodes + 1)
    log_p, log_q = link.logs(x)
    likelihood = unique[:, None] * log_p + (n - unique)[:, None] * log_q
    log_weight = likelihood - likelihood.max(axis=1, keepdims=True) + np.log(weights * half)
    return Quadrature(link, unique, x, log_weight)


@record
class Posterior:
    """A posterior says how likely each x is: `weights` (n_counts, n_nodes) sum to 1 by count; `deviation` is (x - mu) / tau."""

    weights: FloatArray
    deviation: FloatArray
    log_marginal: FloatArray

    def moments(self) -> FloatArray:
        """Returns (4, n_counts) the expectations of the deviation's first four powers."""
        first = self.weights * self.deviation
        square = self.deviation * self.deviation
        sums = first, self.weights * square, first * square, self.weights * square * square
        return np.stack([each.sum(axis=1) for each in sums])

    def expectation(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Returns (n_counts,) the expectation of `values` (n_counts, n_nodes), and (n_counts, 2) its derivatives as `scores`."""
        mean = (self.weights * values).sum(axis=1)
        by_mu = self.weights * (values - mean[:, None]) * self.deviation
        return mean, np.stack([by_mu.sum(axis=1), (by_mu * self.deviation).sum(axis=1)], axis=1)


@record
class Population:
    """A fitted distribution: x ~ N(mu, tau^2). `information` (2, 2) is that of (mu / tau, log tau) at the maximum."""

    link: Link
    mu: float
    tau: float
    information: FloatArray

    def posterior(self, nodes: Quadrature) -> Posterior:
        """Returns the posterior of x by count, where x is drawn from this population."""
        return _posterior(nodes, self.mu, self.tau)


def _posterior(nodes: Quadrature, mu: float, tau: float) -> Posterior:
    deviation = (nodes.x - mu) / tau
    log_joint = nodes.log_weight - deviation * deviation / 2 - np.log(tau)
    top = log_joint.max(axis=1, keepdims=True)
    joint = np.exp(log_joint - top)
    total = joint.sum(axis=1, keepdims=True)
    return Posterior(joint / total, deviation, (np.log(total) + top)[:, 0])


def scores(posterior: Posterior) -> FloatArray:
    """Returns (n_counts, 2) derivatives of each count's log-likelihood by mu (times tau) and by log tau."""
    first, second, _, _ = posterior.moments()
    return np.stack([first, second - 1], axis=1)


def fit(nodes: Quadrature, weights: FloatArray) -> Population:
    """Finds the likeliest mu and tau by damped Newton steps; `weights` (n_counts,) is how many queries each count stands for."""
    mu, tau = _start(nodes, weights)
    value, gradient, information = _objective(nodes, weights, mu, tau)
    for _ in range(_STEPS):
        step = np.linalg.solve(information, gradient)
        step *= min(1.0, 1.5 / max(float(np.abs(step).max()), 1e-300))
        while True:
            nearer_mu, nearer_tau = _bounded(nodes.link, mu + tau * step[0], tau * np.exp(step[1]))
            there = _objective(nodes, weights, nearer_mu, nearer_tau)
            if there[0] >= value or np.abs(step).max() < 1e-9:
                break
            step /= 2
        settled = there[0] - value < 1e-9 and (np.abs(step).max() < 1e-5 or (nearer_mu, nearer_tau) == (mu, tau))
        mu, tau = nearer_mu, nearer_tau
        value, gradient, information = there
        if settled:
            break
    return Population(nodes.link, mu, tau, information)


def _start(nodes: Quadrature, weights: FloatArray) -> tuple[float, float]:
    centre = nodes.x[np.arange(len(nodes.x)), nodes.log_weight.argmax(axis=1)]
    centre = np.where(nodes.counts == 0, nodes.x[:, 0] + 0.5 * nodes.link.prior[2], centre)
    mu = float(np.average(centre, weights=weights))
    return _bounded(nodes.link, mu, float(np.sqrt(np.average((centre - mu) ** 2, weights=weights))))


def _bounded(link: Link, mu: float, tau: float) -> tuple[float, float]:
    return float(np.clip(mu, -link.farthest, link.farthest)), float(np.clip(tau, link.narrowest, link.farthest / 2))


def _objective(nodes: Quadrature, weights: FloatArray, mu: float, tau: float) -> tuple[float, FloatArray, FloatArray]:
    """The penalised log-likelihood, its gradient and its observed information, in steps of (mu / tau, log tau).

    Louis (JRSS B 1982): information = E[complete information] - Var[complete score] over the posterior. Where that is not
    positive definite, far from the maximum, the scores' own outer product stands in.
    """
    centre, width, spread = nodes.link.prior
    posterior = _posterior(nodes, mu, tau)
    m1, m2, m3, m4 = posterior.moments()
    off, log_ratio = (mu - centre) / width, np.log(tau / spread)
    value = float(weights @ posterior.log_marginal) - off**2 / 2 - log_ratio**2 / 2
    each = np.stack([m1, m2 - 1])
    gradient = each @ weights - np.array([off * tau / width, log_ratio])
    penalty = np.diag([(tau / width) ** 2, 1.0])
    mixed = 2 * m1 - (m3 - m1 * m2)
    observed = np.array([[1 - (m2 - m1**2), mixed], [mixed, 2 * m2 - (m4 - m2**2)]]) @ weights + penalty
    if observed[0, 0] > 0 and np.linalg.det(observed) > 1e-9 * observed[0, 0] * abs(observed[1, 1]):
        return value, gradient, observed
    return value, gradient, (each * weights) @ each.T + penalty
