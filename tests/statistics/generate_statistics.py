"""Records p values and intervals for tests/statistics, of scipy and statsmodels. usage: python generate_statistics.py"""

import json
import pathlib

import numpy as np
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

rng = np.random.default_rng(1)
wilcoxon = []
for n, shift, ties in ((8, 0.3, False), (25, 0.2, False), (40, 0.3, False), (50, 0.1, False), (51, 0.1, False), (200, 0.1, False), (30, 0.4, True), (120, 0.2, True)):
    d = rng.normal(shift, 1, n)
    d = (d * 3).round() if ties else d.round(6)
    wilcoxon.append({"differences": d.tolist(), "p": float(stats.wilcoxon(d, method="auto", correction=False).pvalue)})
mcnemar = [{"onlyA": a, "onlyB": b, "p": float(stats.binomtest(min(a, b), a + b).pvalue)} for a, b in ((0, 5), (3, 9), (10, 12), (100, 140), (1, 0), (9000, 9200), (700, 1200))]
wilson = []
for k, n in ((0, 10), (5, 10), (837, 1319), (48, 48)):
    ci = stats.binomtest(k, n).proportion_ci(method="wilson")
    wilson.append({"successes": k, "n": n, "interval": [float(ci.low), float(ci.high)]})


def newcombe(both, only_a, only_b, neither):
    """Method 10 of Newcombe (1998), on statsmodels' Wilson intervals."""
    n = both + only_a + only_b + neither
    a, b = both + only_a, both + only_b
    (la, ua), (lb, ub) = (proportion_confint(k, n, method="wilson") for k in (a, b))
    margins = float(a) * b * (n - a) * (n - b)
    cross = both * neither - only_a * only_b
    phi = 0.0 if margins == 0 else (max(cross - n / 2, 0) if cross > 0 else cross) / np.sqrt(margins)
    below = np.sqrt((b / n - lb) ** 2 - 2 * phi * (b / n - lb) * (ua - a / n) + (ua - a / n) ** 2)
    above = np.sqrt((ub - b / n) ** 2 - 2 * phi * (ub - b / n) * (a / n - la) + (a / n - la) ** 2)
    return [float((b - a) / n - below), float((b - a) / n + above)]


# The first is the airway hyper-responsiveness of Bentur et al. that Fagerland, Lydersen and Laake (2014) compute.
paired = [{"both": t[0], "onlyA": t[1], "onlyB": t[2], "neither": t[3], "newcombe": newcombe(*t)} for t in ((1, 1, 7, 12), (0, 0, 0, 20), (20, 0, 0, 0), (300, 40, 70, 909), (0, 0, 6, 14), (5, 9, 4, 30))]

ratio = []
for n, scatter in ((2, 0.3), (8, 0.5), (200, 0.4), (600, 1.0)):
    tokens = rng.integers(5, 200, n)
    losses = (tokens * np.maximum(0.05, rng.normal(2, scatter, n))).round(3)
    mean = losses.sum() / tokens.sum()
    residual = losses - mean * tokens
    error = np.sqrt(n * residual.var(ddof=1)) / tokens.sum()
    half = stats.t.ppf(0.975, n - 1) * error
    drawn = stats.bootstrap((losses, tokens), lambda a, b, axis=-1: np.exp(a.sum(axis) / b.sum(axis)), paired=True, method="percentile", rng=np.random.default_rng(2)).confidence_interval if n >= 200 else None
    ratio.append({"tokens": tokens.tolist(), "losses": losses.tolist(), "interval": [float(np.exp(mean - half)), float(np.exp(mean + half))], "bootstrap": drawn and [float(drawn.low), float(drawn.high)]})
student = []
for n, shift in ((2, 1.0), (3, 0.5), (8, 0.1), (20, -0.4)):
    d = rng.normal(shift, 1, n).round(6)
    found = stats.ttest_1samp(d, 0)
    ci = found.confidence_interval(0.95)
    student.append({"values": d.tolist(), "p": float(found.pvalue), "interval": [float(ci.low), float(ci.high)]})
quantiles = [{"freedom": f, "t": float(stats.t.ppf(0.975, f))} for f in (1, 2, 9, 100, 1000, 1001, 50_000)]
tails = [{"z": z, "p": float(stats.norm.sf(z))} for z in (0.0, 0.5, 1.96, 2.7, 3.0, 6.0, 12.0)]
out = pathlib.Path(__file__).parent / "recorded" / "statistics.json"
out.write_text(json.dumps({"wilcoxon": wilcoxon, "mcnemar": mcnemar, "wilson": wilson, "paired": paired, "ratio": ratio, "student": student, "quantiles": quantiles, "tails": tails}) + "\n")
