"""Tokens on disk. Loads no torch."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError
from elman.storage import shown, storage, write_file


def save_tokens(path: Path, tokens: NDArray[np.integer]) -> None:
    """Write token ids as .npy in the narrowest unsigned type that holds them."""
    dtype = np.min_scalar_type(int(tokens.max(initial=0)))
    array = io.BytesIO()
    np.save(array, tokens.astype(dtype), allow_pickle=False)
    with storage("save tokens", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, array.getvalue())


def load_tokens(path: Path) -> NDArray[np.integer]:
    """Memory-map what :func:`save_tokens` wrote. DataError if it is anything else."""
    with storage("load tokens", path):
        try:
            tokens: NDArray[np.integer] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise DataError(
                "load tokens", f"{path} is not what was saved: {shown(error)}; start a new run"
            ) from None
    return tokens
