"""Oracle values for test/statistics/curve.test.ts: Fisher's noncentral hypergeometric distribution from scipy.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install scipy
    /tmp/oracle/bin/python hypergeometric.py > hypergeometric.json

Each row: units and worse units in the pool, units and worse units of the candidate, log odds ratio, and
log P(x; odds) - log P(x; 1), which is curve(log odds) of that stratum. scipy loses digits where P(x; 1) underflows: left out.
"""
import json
import random

import scipy
from scipy.stats import hypergeom, nchypergeom_fisher
import numpy as np

random.seed(20240601)
rows = []
while len(rows) < 300:
    units = random.choice([2, 5, 12, 20, 60, 150, 300, 700])
    worse = random.randint(1, units - 1)
    candidate = random.randint(1, units - 1)
    odds = random.choice([0.2, 0.8, 1.25, 1.6, 2.2, 3.5, 6, 12, 30])
    x = int(nchypergeom_fisher.rvs(units, worse, candidate, random.choice([0.7, 1, 2, 4]), random_state=random.randrange(2**31)))
    null = hypergeom.pmf(x, units, worse, candidate)
    value = np.log(nchypergeom_fisher.pmf(x, units, worse, candidate, odds)) - np.log(null)
    if null > 1e-12 and np.isfinite(value):
        rows.append([units, worse, candidate, x, float(np.log(odds)), float(value)])
print(json.dumps({"scipy": scipy.__version__, "rows": rows}))
