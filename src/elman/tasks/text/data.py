"""The lanes of tokens that truncated BPTT walks along."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elman.errors import DataError


class Lanes:
    """A token array cut into ``batch`` contiguous lanes, read side by side a window at a time.

    Window w of lane b starts where window w-1 of lane b ended, so the state at the end of one
    batch belongs at the start of the next. Targets are the inputs one step later.

    Raises DataError when a lane is shorter than one window.
    """

    def __init__(self, tokens: NDArray[np.integer], batch: int, window: int) -> None:
        self.window = window
        self.length = (len(tokens) - 1) // batch  # predictions in a lane
        if self.length < window:
            raise DataError(
                "train text",
                f"the corpus must hold batch * window + 1 = {batch * window + 1} tokens, found "
                f"{len(tokens)}; lower --batch or --window, or give more text",
            )
        # Lanes overlap by one token: the last target of one is the first input of the next.
        size = tokens.itemsize
        self._lanes = np.lib.stride_tricks.as_strided(
            tokens, (batch, self.length + 1), (self.length * size, size), writeable=False
        )

    def __len__(self) -> int:
        """Number of windows; the last may be shorter than the others."""
        return -(-self.length // self.window)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of one window, each (T, B) int64."""
        start = number * self.window
        stop = min(start + self.window, self.length)
        part = torch.from_numpy(self._lanes[:, start : stop + 1].T.astype(np.int64))
        return part[:-1], part[1:]
