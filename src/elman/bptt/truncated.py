"""Truncated backpropagation through time.

A long sequence is cut into windows. The state at the end of one window starts the next, so the
network remembers as far back as it likes, but it is detached, so that gradients flow through one
window only (Williams & Peng 1990, with k1 = k2 = the window).
"""

from typing import Any

from torch import Tensor


def detach(state: Any) -> Any:
    """Return the same state, any nesting of tensors, cut off from what it was computed from."""
    if state is None:
        return None
    if isinstance(state, Tensor):
        return state.detach()
    return type(state)(detach(each) for each in state)
