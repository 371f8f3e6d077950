"""Reference values for PMRC: optima of the assignment step (linear programming) and inertias of k-means-constrained."""

import json

import numpy as np
import torch
from k_means_constrained import KMeansConstrained
from safetensors.torch import load_file, save_file
from scipy.optimize import linprog

#: (clusters, minimum size) for a matrix of n rows.
SETTINGS = ((2, 0.45), (4, 0.1), (4, 0.25), (8, 0.05), (16, 0.03))
SEEDS = 10


def matrices(shared):
    """Rows of several kinds; real ones where the shared data are present."""
    rng = np.random.default_rng(3)
    yield "random", rng.normal(0, 0.02, (320, 24))
    yield "clustered", np.concatenate([rng.normal(rng.normal(0, 1, 24), 0.3, (n, 24)) for n in (100, 90, 60, 40, 20, 10)])
    yield "skewed", np.concatenate([rng.normal(0, 1, (270, 24)), rng.normal(5, 0.2, (30, 24)), rng.normal(-9, 0.1, (12, 24))])
    yield "heavy-tailed", rng.standard_t(2, (300, 24)) * 0.02
    yield "offset", rng.normal(50, 0.02, (256, 24))
    folder = shared / "stories260K-hf"
    if folder.exists():
        weights = load_file(folder / "model.safetensors")
        yield "stories260K gate_proj", weights["model.layers.0.mlp.gate_proj.weight"].float().numpy()
        yield "stories260K q_proj", weights["model.layers.2.self_attn.q_proj.weight"].float().numpy()


def record_clusters(shared, out):
    tensors, cases = {}, []
    for name, rows in matrices(shared):
        tensors[name] = torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32))
        # The inertia of what is stored, not of what was drawn.
        stored = tensors[name].double().numpy()
        for k, part in SETTINGS:
            size_min = max(1, int(part * len(rows)))
            fit = lambda seed: float(KMeansConstrained(k, size_min=size_min, n_init=1, random_state=seed, n_jobs=1).fit(stored).inertia_)
            cases.append({"matrix": name, "clusters": k, "minimumSize": size_min, "inertias": [fit(seed) for seed in range(SEEDS)]})
    save_file(tensors, out / "kmeans.safetensors")
    (out / "kmeans.json").write_text(json.dumps(cases) + "\n")


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
