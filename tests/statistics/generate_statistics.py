"""Records p values and intervals of scipy for tests/statistics. usage: python generate_statistics.py (needs scipy)"""

import json
import pathlib

import numpy as np
from scipy import stats

rng = np.random.default_rng(1)
wilcoxon = []
for n, shift, ties in ((8, 0.3, False), (25, 0.2, False), (40, 0.3, False), (50, 0.1, False), (51, 0.1, False), (200, 0.1, False), (30, 0.4, True), (120, 0.2, True)):
    d = rng.normal(shift, 1, n)
    d = (d * 3).round() if ties else d.round(6)
    wilcoxon.append({"differences": d.tolist(), "p": float(stats.wilcoxon(d, method="auto", correction=False).pvalue)})
mcnemar = [{"onlyA": a, "onlyB": b, "p": float(stats.binomtest(min(a, b), a + b).pvalue)} for a, b in ((0, 5), (3, 9), (10, 12), (100, 140), (1, 0))]
wilson = []
for k, n in ((0, 10), (5, 10), (837, 1319), (48, 48)):
    ci = stats.binomtest(k, n).proportion_ci(method="wilson")
    wilson.append({"successes": k, "n": n, "interval": [float(ci.low), float(ci.high)]})
tails = [{"z": z, "p": float(stats.norm.sf(z))} for z in (0.0, 0.5, 1.96, 2.7, 3.0, 6.0, 12.0)]
out = pathlib.Path(__file__).parent / "recorded" / "statistics.json"
out.write_text(json.dumps({"wilcoxon": wilcoxon, "mcnemar": mcnemar, "wilson": wilson, "tails": tails}) + "\n")
