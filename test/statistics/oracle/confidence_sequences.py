"""Oracle values for test/statistics/oracle.test.ts: intervals whose boundary is computed by confseq (Howard, Waudby-Smith, Ramdas).

    python3.10 -m venv /tmp/oracle && /tmp/oracle/bin/pip install 'numpy<2' confseq     # needs Boost's headers; 0.0.11 does not build for 3.11
    /tmp/oracle/bin/python confidence_sequences.py > confidence_sequences.json

mean: [n, variance, half-width at 95 %] of a mean, tightest near n = 500.
difference: strata as [values, baseline counts, candidate counts], and the stratified difference of means with its bounds at 95 %. Written
from the formulas in docs/STATISTICS.md, not from the code; the boundary is confseq's.
"""
import json
import math
import random

import numpy as np
from confseq.boundaries import normal_mixture_bound

ALPHA = 0.05
#: v_opt / rho of confseq's two-sided mixture at alpha_opt = .05: 2 log(1/alpha) + log(1 + 2 log(1/alpha)).
BEST = 2 * math.log(1 / ALPHA) + math.log(1 + 2 * math.log(1 / ALPHA))


def bound(v, rho):
    return float(normal_mixture_bound(np.array([float(v)]), ALPHA, rho * BEST, ALPHA, False)[0])


random.seed(20261125)
mean = []
for n in [30, 60, 200, 500, 2_000, 50_000]:
    variance = random.choice([0.01, 0.25, 3.7])
    mean.append([n, variance, math.sqrt(variance) / n * bound(n, 500 / BEST)])


def moments(values, counts):
    n = sum(counts)
    m = sum(x * c for x, c in zip(values, counts)) / n
    return n, m, sum(c * (x - m) ** 2 for x, c in zip(values, counts))


def pooled(values, strata, arms):
    return [sum(s[arm][i] for s in strata for arm in arms) for i in range(len(values))]


def variance(values, strata, arm):
    n, _, squares = moments(values, pooled(values, strata, [arm]))
    both = pooled(values, strata, [0, 1])
    _, center, _ = moments(values, both)
    farthest = max(abs(x - center) for x, c in zip(values, both) if c > 0)
    return (squares + max(farthest, 0.25) ** 2) / (n + 1)


difference = []
for _ in range(40):
    values = [i / 50 for i in sorted(random.sample(range(51), random.choice([3, 8, 20])))]
    share = random.choice([0.1, 0.5])
    strata = []
    for _ in range(random.choice([5, 20, 60])):
        a, b = [0] * len(values), [0] * len(values)
        for _ in range(60):
            arm = b if random.random() < share else a
            arm[min(len(values) - 1, int(random.expovariate(1) * len(values) / 3))] += 1
        strata.append((a, b))
    va, vb = variance(values, strata, 0), variance(values, strata, 1)
    weights = total = clock = 0.0
    candidates = 0
    sharpest = None
    for a, b in strata:
        if sum(a) == 0 or sum(b) == 0:
            continue
        (na, ma, _), (nb, mb, _) = moments(values, a), moments(values, b)
        w = na * nb / (na + nb)
        weights += w
        total += w * (mb - ma)
        clock += w * w * (va / na + vb / nb)
        candidates += nb
        if sharpest is None and candidates >= 500:
            sharpest = clock
    rho = (sharpest if sharpest is not None else clock * 500 / candidates) / 10.8
    half = bound(clock, rho) / weights
    d = total / weights
    row = {"values": values, "strata": [[list(a), list(b)] for a, b in strata], "estimate": d, "low": max(-1, d - half), "high": min(1, d + half), "candidates": candidates}
    difference.append(row)
print(json.dumps({"confseq": "0.0.11", "mean": mean, "difference": difference}))
