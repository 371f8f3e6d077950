"""Records p values and intervals for tests/statistics, of scipy 1.17.1 and statsmodels 0.15.0. usage: python generate_statistics.py"""

import json
import pathlib

import numpy as np
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.anova import anova_lm
from statsmodels.formula.api import ols
from statsmodels.stats.multitest import multipletests
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
fractions = [{"freedom": f, "t": float(stats.t.ppf(0.975, f)), "at": at, "p": float(2 * stats.t.sf(at, f))} for f, at in ((0.7, 3.0), (1.5, 2.0), (3.37, 12.0), (17.9, 0.1), (250.5, 2.5), (1500.5, 5.0))]
below = [{"z": z, "p": float(stats.norm.cdf(z))} for z in (-9.0, -2.5, -0.3, 0.0, 0.4, 1.9, 4.0)]

zeros = []
for n, shift, scale in ((6, 0.6, 2), (13, 0.5, 3), (13, 0.3, 1), (14, 0.5, 3), (40, 0.2, 2), (60, 0.3, 1), (400, 0.1, 2)):
    d = (rng.normal(shift, 1, n) * scale).round()
    d[0] = 0
    zeros.append({"differences": d.tolist(), "p": {m: float(stats.wilcoxon(d, zero_method=m, method="auto", correction=False).pvalue) for m in ("wilcox", "pratt", "zsplit")}})


def grouped(n, groups, within, between, right):
    """Values in groups of unlike sizes; right or wrong, or any number."""
    of = np.sort(rng.integers(0, groups, n))
    of = np.unique(of, return_inverse=True)[1]
    x = rng.normal(0, between, groups)[of] + rng.normal(0, within, n)
    return (x > 0.3).astype(float) if right else x.round(6), of


clustered = []
for n, groups, within, between, right in ((30, 8, 1, 1, False), (300, 40, 1, 0.7, False), (57 * 20, 57, 1, 0.8, True), (120, 10, 1, 0, True)):
    x, of = grouped(n, groups, within, between, right)
    fit = sm.OLS(x, np.ones(n)).fit(cov_type="cluster", cov_kwds={"groups": of}, use_t=True)
    ci = fit.conf_int(0.05)[0]
    plain = sm.OLS(x, np.ones(n)).fit()
    effect = float((fit.bse[0] / plain.bse[0]) ** 2)
    worth = n / max(1, effect) * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, of.max())) ** 2
    wilson_ci = proportion_confint(x.mean() * worth, worth, method="wilson") if right else None
    clustered.append({"values": x.tolist(), "groups": of.tolist(), "error": float(fit.bse[0]), "interval": [float(c) for c in ci], "designEffect": effect, "wilson": wilson_ci and [float(c) for c in wilson_ci]})

adjusted = []
for size in (1, 4, 15):
    p = rng.uniform(0, 0.2, size).round(6)
    adjusted.append({"p": p.tolist(), "holm": multipletests(p, method="holm")[1].tolist()})


def sum_of(x, axis=-1):
    return x.sum(axis=axis)


flips = []
for sums in ([3.0, -1.0, 2.0, 2.0, 5.0, -2.0], rng.integers(-4, 7, 12).astype(float).tolist(), rng.normal(0.4, 1, 11).round(6).tolist()):
    found = stats.permutation_test((np.array(sums),), sum_of, permutation_type="samples", n_resamples=np.inf, vectorized=True)
    flips.append({"sums": sums, "p": float(found.pvalue)})
signs = [{"wins": a, "losses": b, "p": float(stats.binomtest(a, a + b).pvalue)} for a, b in ((14, 5), (30, 30), (7, 0), (120, 90))]

rank_clusters = []
for n, groups in ((40, 9), (150, 60), (1500, 300)):
    d, of = grouped(n, groups, 1, 0.6, False)
    d = (d + 0.1).round(1)
    ranks = np.zeros(n)
    ranks[d != 0] = stats.rankdata(np.abs(d[d != 0]))
    sums = np.bincount(of, ranks * np.sign(d))
    # Rosner, Glynn and Lee (2006): the sum over its standard deviation; of few clusters all signs, of some many draws.
    if sums.size < 13:
        p = stats.permutation_test((sums,), sum_of, permutation_type="samples", n_resamples=np.inf, vectorized=True).pvalue
    elif sums.size < 100:
        draw = np.random.default_rng(5)
        p = np.mean([np.abs(draw.choice([-1, 1], (50_000, sums.size)) @ sums) >= abs(sums.sum()) - 1e-9 for _ in range(20)])
    else:
        p = 2 * stats.norm.sf(abs(sums.sum()) / np.sqrt((sums**2).sum()))
    rank_clusters.append({"differences": d.tolist(), "groups": of.tolist(), "p": float(p)})

resampled = []
for x in (rng.uniform(0, 1, 40).round(3), rng.exponential(1, 25).round(3), rng.integers(0, 5, 60) / 4):
    found = stats.bootstrap((x,), np.mean, n_resamples=999, method="BCa", rng=np.random.default_rng(3), vectorized=True)
    long = stats.bootstrap((x,), np.mean, n_resamples=100_000, method="BCa", rng=np.random.default_rng(4), vectorized=True).confidence_interval
    ci = found.confidence_interval
    resampled.append({"values": x.tolist(), "drawn": np.sort(found.bootstrap_distribution).tolist(), "bca": [float(ci.low), float(ci.high)], "long": [float(long.low), float(long.high)]})

crossed = []
for seeds, items, by_seed in ((3, 40, 0.3), (5, 25, 0.0), (2, 60, 1.0)):
    table = (rng.normal(0.2, by_seed, seeds)[:, None] + rng.normal(0, 1, items)[None, :] + rng.normal(0, 0.5, (seeds, items))).round(6)
    s, i = np.indices(table.shape)
    fit = anova_lm(ols("y ~ C(s) + C(i)", {"y": table.ravel(), "s": s.ravel(), "i": i.ravel()}).fit())
    ms = fit["mean_sq"].to_numpy()
    df = fit["df"].to_numpy()
    least = max(ms[0], ms[1])
    variance = max(ms[0] + ms[1] - ms[2], least) / (seeds * items)
    freedom = max(1, variance**2 / (((ms / (seeds * items)) ** 2) / df).sum())
    t = table.mean() / np.sqrt(variance)
    crossed.append({"table": table.tolist(), "error": float(np.sqrt(variance)), "freedom": float(freedom), "p": float(2 * stats.t.sf(abs(t), freedom))})

votes = rng.integers(0, 4, (240, 2))
votes = votes[votes[:, 0] != votes[:, 1]]
true = np.array([0.0, 0.5, -0.3, 0.9])
a_wins = rng.uniform(size=len(votes)) < 1 / (1 + np.exp(true[votes[:, 1]] - true[votes[:, 0]]))
design = np.zeros((len(votes), 4))
design[np.arange(len(votes)), votes[:, 0]] = 1
design[np.arange(len(votes)), votes[:, 1]] = -1
fitted = np.append(sm.Logit(a_wins.astype(float), design[:, :3]).fit(disp=0, method="newton", tol=1e-14).params, 0)
preference = {"votes": [[int(a), int(b), bool(w)] for (a, b), w in zip(votes, a_wins)], "strengths": (fitted - fitted.mean()).tolist()}

more = {"fractions": fractions, "below": below, "zeros": zeros, "clustered": clustered, "adjusted": adjusted, "flips": flips, "signs": signs, "rankClusters": rank_clusters, "resampled": resampled, "crossed": crossed, "preference": preference}
out = pathlib.Path(__file__).parent / "recorded" / "statistics.json"
out.write_text(json.dumps({"wilcoxon": wilcoxon, "mcnemar": mcnemar, "wilson": wilson, "paired": paired, "ratio": ratio, "student": student, "quantiles": quantiles, "tails": tails, **more}) + "\n")
