"""Random ones and zeros, a whole sequence of them at once: what zoneout keeps."""

from collections.abc import Sequence

import torch
from torch import Tensor

from elman.core import is_built, threads
from elman.nn import operators, traced

_BUILT = is_built()
_DTYPES = (torch.float32, torch.float64)


def bernoulli(rate: float, shape: Sequence[int], like: Tensor) -> Tensor:
    """Ones with probability ``rate``, from above 0 to 1, and zeros, of the type of ``like``.

    What the core draws is ten times sooner there than what PyTorch draws, the same for any number
    of threads, and follows ``torch.manual_seed``: its seed is drawn from PyTorch's generator.
    """
    plain = _BUILT and like.device.type == "cpu" and like.dtype in _DTYPES
    if not plain or traced.transformed():  # a transform has its own rules for what is random
        # Twice as fast as torch.bernoulli, and in one piece of memory.
        return torch.rand(shape, dtype=like.dtype, device=like.device).lt_(rate)
    seed = torch.randint(2**63 - 1, ())  # to a tracer what is random is this alone
    if traced.needed((like,)):
        drawn: Tensor = torch.ops.elman.bernoulli(seed, rate, shape, like.detach())
        return drawn
    return _drawn(seed, rate, shape, like)


def _drawn(seed: Tensor, rate: float, shape: Sequence[int], like: Tensor) -> Tensor:
    many = threads(torch.get_num_threads())
    return operators.draw(rate, int(seed), shape, like.dtype, many)


_operator = torch.library.custom_op("elman::bernoulli", _drawn, mutates_args=())


@_operator.register_fake
def _(seed: Tensor, rate: float, shape: Sequence[int], like: Tensor) -> Tensor:
    return like.new_empty(shape)
