"""Truncated backpropagation through time.

A long sequence is cut into windows. The state at the end of one window starts the next, so the
network remembers as far back as it likes, but it is detached, so that gradients flow through one
window only (Williams & Peng 1990, with k1 = k2 = the window).
"""

from typing import Any

import torch
from torch import Tensor


def detach(state: Any, device: torch.device | None = None) -> Any:
    """Return the same state, any nesting of tensors, cut off from what it was computed from.

    With a ``device`` it is moved there, as a state that was read from a file must be.
    """
    if state is None:
        return None
    if isinstance(state, Tensor):
        return state.detach().to(device)
    return type(state)(detach(each, device) for each in state)
