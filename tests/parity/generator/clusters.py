"""Reference values for PMRC: optima of the assignment step (linear programming) and inertias of k-means-constrained."""

import json

import numpy as np
from k_means_constrained import KMeansConstrained
from scipy.optimize import linprog


def record_clusters(out):
    rng = np.random.default_rng(3)
    rows = np.concatenate([rng.normal(c, s, (n, 12)) for c, s, n in ((0, 1, 40), (3, 0.4, 12), (-2, 0.7, 8))]).astype(np.float32)
    cases = []
    for k, size_min in ((3, 8), (4, 12), (2, 25), (5, 4)):
        best = min((KMeansConstrained(n_clusters=k, size_min=size_min, n_init=10, random_state=s).fit(rows.astype(np.float64)).inertia_ for s in range(3)))
        cases.append({"clusters": k, "minimumSize": size_min, "inertia": float(best)})
    value = {"dimensions": 12, "rows": [round(float(v), 6) for v in rows.reshape(-1)], "cases": cases}
    (out / "kmeans.json").write_text(json.dumps(value) + "\n")


def record_assignments(out):
    rng = np.random.default_rng(5)
    cases = []
    for points, clusters, size_min in ((12, 3, 4), (20, 4, 3), (30, 5, 6), (25, 2, 10), (40, 6, 5)):
        costs = rng.gamma(2.0, 1.0, (points, clusters)) * np.array([1.0, 5.0, 0.5, 2.0, 8.0, 3.0])[:clusters]
        costs = costs.round(4)
        equal = np.kron(np.eye(points), np.ones((1, clusters)))
        at_least = -np.kron(np.ones((1, points)), np.eye(clusters))
        solved = linprog(costs.reshape(-1), A_eq=equal, b_eq=np.ones(points), A_ub=at_least, b_ub=-size_min * np.ones(clusters))
        cases.append({"points": points, "clusters": clusters, "minimumSize": size_min, "costs": costs.reshape(-1).tolist(), "optimum": solved.fun})
    (out / "assignments.json").write_text(json.dumps(cases) + "\n")
