"""Which rows of W are the frozen bases of ID-LoRA (Ma et al., section 4.1, and 5.5.2 for the two baselines)."""

from __future__ import annotations

import math
import zlib

import torch


def chosen_rows(weight: torch.Tensor, how: str, k: int, r: int, key: str = "") -> torch.Tensor:
    """Indices of k r different rows of W [d_out, d_in], cluster by cluster: int32 [k r].

    pmrc: k-means over the rows with at least r in each cluster, then the r nearest to each centre, nearest first.
    serial: the first k r rows in contiguous runs. random: drawn uniformly, anew for each module by its path `key`.

    Raises ImportError where pmrc's package is not installed.
    """
    if how == "serial":
        return torch.arange(k * r, dtype=torch.int32)
    if how == "random":
        generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
        return torch.randperm(weight.shape[0], generator=generator)[: k * r].to(torch.int32)
    return _clustered_rows(weight.detach().float().cpu(), k, r)


def chosen_bases(weight: torch.Tensor, how: str, k: int, r: int, key: str = "") -> torch.Tensor:
    """Bases that are no rows, as long as a row of W on average: f32 [k r, d_in], cluster by cluster.

    gaussian: normal numbers, anew for each module by its path `key`. svd: the right singular vectors with the greatest
    singular values, dealt in turn to the clusters.
    """
    w = weight.detach().float().cpu()
    typical = w.square().mean().sqrt()
    if how == "gaussian":
        generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
        return typical * torch.randn(k * r, w.shape[1], generator=generator)
    vectors = torch.linalg.svd(w, full_matrices=False).Vh[: k * r]
    return typical * math.sqrt(w.shape[1]) * vectors.view(r, k, -1).transpose(0, 1).reshape(k * r, -1)


def _clustered_rows(weight: torch.Tensor, k: int, r: int) -> torch.Tensor:
    try:
        from k_means_constrained import KMeansConstrained
    except ImportError as error:
        raise ImportError(
            'pivots="pmrc" of a new adapter needs the package k-means-constrained: pip install "id-lora[pmrc]". '
            "An adapter that is loaded brings its rows and needs it not."
        ) from error
    fitted = KMeansConstrained(n_clusters=k, size_min=r, random_state=0, n_init=1).fit(weight.numpy())
    labels = torch.from_numpy(fitted.labels_).long()
    centers = torch.from_numpy(fitted.cluster_centers_).to(weight)
    chosen = []
    for cluster in range(k):
        members = torch.nonzero(labels == cluster)[:, 0]
        distances = (weight[members] - centers[cluster]).square().sum(1)
        chosen.append(members[torch.argsort(distances, stable=True)[:r]])
    return torch.cat(chosen).to(torch.int32)
