"""Whether a base model is the one whose rows an adapter's indices mean."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path


def sha256_of_base(folder: str | Path) -> str | None:
    """SHA-256 over the bytes of a model folder's safetensors files, in the order of their names; None without any.

    An index names the files; without one it is model.safetensors. ID-LoRA Studio reads the same ones.
    """
    folder = Path(folder)
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.exists():
        files = [single]
    elif index.exists():
        names = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
        if any(Path(name).name != name for name in names):
            raise ValueError(f"{index} names a file outside of its folder.")
        files = [folder / name for name in sorted(names)]
    else:
        return None
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            while part := opened.read(1 << 24):
                digest.update(part)
    return digest.hexdigest()


def folder_of(name_or_path: str | None) -> Path | None:
    """The folder that a model was read from, also in the cache of the Hub; None where it cannot be found."""
    if not name_or_path:
        return None
    if Path(name_or_path).is_dir():
        return Path(name_or_path)
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name_or_path, "config.json")
    return Path(found).parent if isinstance(found, str) else None


def check_base(expected: str, name_or_path: str | None) -> None:
    """Raises ValueError where the base's weights are others than those that the adapter was trained on.

    Its indices name rows of these weights: on others the adapter would compute something else, without any error.
    """
    folder = folder_of(name_or_path)
    actual = sha256_of_base(folder) if folder else None
    if actual is None:
        warnings.warn(
            f"The weights of {name_or_path or 'the base model'} cannot be found as safetensors files, so that nobody "
            "checked whether they are those that the adapter's row indices refer to.",
            stacklevel=2,
        )
    elif actual != expected:
        raise ValueError(
            f"The adapter's indices name rows of a base with SHA-256 {expected}, and {folder} has {actual}. Load the base "
            "model that the adapter was trained on (base_model_name_or_path in its adapter_config.json), or use an "
            "adapter that was exported with its rows (embed_pivots)."
        )
