"""Oracle values for test/statistics/oracle.test.ts: whole e-processes of rates, by scipy's noncentral hypergeometric distribution and merged
with expectation (Rostami), where the code has its own sums.

    python3.12 -m venv /tmp/oracle && /tmp/oracle/bin/pip install scipy expectation==0.6.1
    /tmp/oracle/bin/python evidence.py > evidence.json

Each case: strata as [slot, units and outcomes of the baseline, of the candidate]; e: the e-value after each, with starts at the opening and
every half hour; not_worse: the e-value against an odds ratio of 1.5 at the end; low, high: the odds ratio's interval at 95 %.
"""
import json
import math
import random
from importlib.metadata import version

import numpy as np
import scipy
from expectation.modules.merging import arithmetic_mean_merge
from scipy.optimize import brentq
from scipy.stats import hypergeom, nchypergeom_fisher

GRID = [math.log(r) for r in (1.25, 1.6, 2.2, 3.5, 6, 12, 30)]
TOLERATED = math.log(1.5)
WEIGHT = 0.3


def log_ratio(stratum, lam):
    _, na, ka, nb, kb = stratum
    if na == 0 or nb == 0 or ka + kb == 0 or ka + kb == na + nb:
        return 0.0
    n, k = na + nb, ka + kb
    return float(nchypergeom_fisher.logpmf(kb, n, k, nb, math.exp(lam)) - hypergeom.logpmf(kb, n, k, nb))


def started(slot):
    return 0.75 + 0.25 * (1 - 1 / (slot // 60 + 1))


random.seed(20261125)
cases = []
for truth in [1, 1, 1.5, 3, 6] * 4:
    p = random.choice([0.01, 0.05, 0.3])
    q = truth * p / (1 - p + truth * p)
    share = random.choice([0.1, 0.5])
    strata, slot = [], 0
    for _ in range(random.choice([10, 40])):
        slot += random.choice([1, 2, 16])
        n = random.choice([20, 60, 150])
        nb = sum(random.random() < share for _ in range(n))
        strata.append([slot, n - nb, sum(random.random() < p for _ in range(n - nb)), nb, sum(random.random() < q for _ in range(nb))])
    wealth, put, e = np.zeros(len(GRID)), 0.0, []
    for stratum in strata:
        if stratum[1] == 0 or stratum[3] == 0:
            e.append(e[-1] if e else 1.0)
            continue
        fresh, put = started(stratum[0]) - put, started(stratum[0])
        wealth = (wealth + fresh) * np.exp([log_ratio(stratum, lam) for lam in GRID])
        # What is not bet yet is cash; the metric is one part of the stake, the rest counts as itself.
        e.append(WEIGHT * (1 - put + arithmetic_mean_merge(wealth)) + (1 - WEIGHT))

    def summed(lam):
        return sum(log_ratio(s, lam) for s in strata)

    not_worse = arithmetic_mean_merge(np.exp([summed(TOLERATED * (1 - x)) - summed(TOLERATED) for x in (0.5, 1, 1.5)]))
    alternatives = [summed(sign * lam) for lam in GRID for sign in (-1, 1)]
    level = math.log(arithmetic_mean_merge(np.exp(np.array(alternatives) - max(alternatives)))) + max(alternatives) - math.log(20)
    best = max((summed(x / 20), x / 20) for x in range(-120, 121))[1]

    def edge(to):
        return brentq(lambda lam: summed(lam) - level, best, to) if (summed(best) - level) * (summed(to) - level) < 0 else None

    cases.append({"strata": strata, "e": e, "not_worse": not_worse, "low": edge(-5.9), "high": edge(5.9), "informative": any(log_ratio(s, 1) != 0 for s in strata)})

print(json.dumps({"scipy": scipy.__version__, "expectation": version("expectation"), "cases": cases}))
