"""The population's integrals against adaptive quadrature, its fit against a general optimiser."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import expit, ndtr, xlog1py, xlogy

from mrl_sweep.projection.population import Link, Population, Quadrature, fit, quadrature, rounded, scores

N = 5000


def log_likelihood(link: Link, count: int, x: float) -> float:
    p = float(ndtr(-x) if link is Link.PROBIT else expit(-x))
    return float(xlogy(count, p) + xlog1py(N - count, -p))


def integral(link: Link, count: int, mu: float, tau: float, weight: Callable[[float], float]) -> float:
    """Of weight(x) times the likelihood, up to its peak, under N(mu, tau^2)."""
    peak = log_likelihood(link, count, float(link.of(np.array([max(count, 1e-9) / N]))[0]))
    centre = float(link.of(np.array([(count + 0.5) / (N + 1)]))[0])

    def integrand(x: float) -> float:
        density = math.exp(-((x - mu) ** 2) / (2 * tau**2)) / tau
        return weight(x) * density * math.exp(min(log_likelihood(link, count, x) - peak, 50.0))

    ends = [mu - 9 * tau, centre - 2 * tau, centre, centre + 2 * tau, mu + 9 * tau]
    return math.fsum(quad(integrand, a, b, limit=400)[0] for a, b in zip(sorted(ends)[:-1], sorted(ends)[1:], strict=True))


@pytest.mark.parametrize("count", [0, 1, 7, 150, 4000])
@pytest.mark.parametrize(("link", "mu", "tau"), [(Link.PROBIT, 2.5, 1.0), (Link.PROBIT, 3.5, 0.5), (Link.LOGIT, 7.0, 2.5)])
def test_the_posterior_of_each_count_agrees_with_adaptive_quadrature(link: Link, mu: float, tau: float, count: int) -> None:
    nodes = quadrature(link, np.array([count]), N)
    posterior = Population(link, mu, tau, np.eye(2)).posterior(nodes)
    total = integral(link, count, mu, tau, lambda _: 1.0)
    mean = integral(link, count, mu, tau, lambda x: x) / total
    square = integral(link, count, mu, tau, lambda x: (x - mu) ** 2) / total
    assert posterior.weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert (posterior.weights * nodes.x).sum() == pytest.approx(mean, abs=1e-6)
    assert scores(posterior)[0] == pytest.approx([(mean - mu) / tau, square / tau**2 - 1], abs=1e-5)


def sampled(link: Link, mu: float, tau: float, n_pairs: int) -> tuple[Quadrature, np.ndarray]:
    generator = np.random.default_rng(1)
    x = mu + tau * generator.standard_normal(n_pairs)
    counts, times = np.unique(rounded(generator.binomial(N, ndtr(-x) if link is Link.PROBIT else expit(-x))), return_counts=True)
    return quadrature(link, counts, N), times.astype(np.float64)


@pytest.mark.parametrize(("link", "mu", "tau"), [(Link.PROBIT, 3.0, 1.1), (Link.PROBIT, 1.0, 0.3), (Link.LOGIT, 6.0, 2.5)])
def test_a_planted_population_is_recovered(link: Link, mu: float, tau: float) -> None:
    population = fit(*sampled(link, mu, tau, 20_000))
    assert population.mu == pytest.approx(mu, abs=4 * tau / math.sqrt(20_000) + 0.02 * tau)
    assert population.tau == pytest.approx(tau, rel=0.04)


@pytest.mark.parametrize("link", list(Link))
def test_the_fit_is_the_maximum_that_a_general_optimiser_finds(link: Link) -> None:
    nodes, times = sampled(link, 4.0, 1.5, 400)
    centre, width, spread = link.prior

    def loss(parameters: np.ndarray) -> float:
        mu, tau = float(parameters[0]), math.exp(float(parameters[1]))
        penalty = ((mu - centre) / width) ** 2 / 2 + math.log(tau / spread) ** 2 / 2
        return penalty - float(times @ Population(link, mu, tau, np.eye(2)).posterior(nodes).log_marginal)

    best = minimize(loss, np.array([3.0, 0.0]), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10, "maxiter": 2000})
    population = fit(nodes, times)
    assert [population.mu, math.log(population.tau)] == pytest.approx(best.x.tolist(), abs=1e-4)


@pytest.mark.parametrize("counts", [[0], [N], [0, N], [3]])
def test_counts_that_say_almost_nothing_still_give_a_finite_fit(counts: list[int]) -> None:
    for link in Link:
        population = fit(quadrature(link, np.array(counts), N), np.full(len(counts), 50.0))
        assert np.isfinite([population.mu, population.tau]).all()
        assert (np.linalg.eigvalsh(population.information) > 0).all()


def test_counts_are_exact_below_a_thousand_and_keep_three_digits_above() -> None:
    assert rounded(np.array([0, 7, 999, 1000, 1234, 56_789, 9_999_999])).tolist() == [0, 7, 999, 1000, 1230, 56_700, 9_990_000]
