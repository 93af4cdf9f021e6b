"""The optimisers by name, weight decay on matrices only, and gradient clipping."""

import math
from collections.abc import Iterable

from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer, RMSprop

from elman.errors import UsageError, check_choice

NAMES = ("sgd", "adamw", "rmsprop")


def build(
    name: str,
    parameters: Iterable[tuple[str, nn.Parameter]],
    *,
    lr: float,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.99),
) -> Optimizer:
    """The optimiser ``name`` over ``parameters``, which is what ``named_parameters()`` gives.

    ``sgd`` and ``rmsprop`` use ``momentum``, ``adamw`` uses ``betas``. ``rmsprop`` is that of
    Graves (2013), equations 38-45, but for epsilon, which stands outside the root. Weight decay
    reaches only parameters of two or more dimensions other than learned initial states: shrinking
    a bias, a gain or a state towards zero is no prior that anyone holds. In ``sgd`` and
    ``rmsprop`` it is the gradient of an L2 penalty, in ``adamw`` it is decoupled (Loshchilov &
    Hutter 2019). Frozen parameters are left out. Raises
    :class:`~elman.errors.UsageError`.
    """
    _check(name, lr, weight_decay, momentum, betas)
    groups = _groups(parameters, weight_decay)
    if name == "sgd":
        return SGD(groups, lr=lr, momentum=momentum)
    if name == "adamw":
        return AdamW(groups, lr=lr, betas=betas)
    return RMSprop(groups, lr=lr, alpha=0.95, eps=1e-4, centered=True, momentum=momentum)


def clip(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Scale the gradients so that their joint L2 norm is at most ``max_norm``; return that norm.

    The norm is the one before clipping (Pascanu et al. 2013, algorithm 1). Look at it before the
    optimiser's step: when it is not finite, neither are the gradients. ``max_norm`` may be
    ``math.inf``, to measure only.
    """
    if not max_norm > 0:
        raise UsageError("clip", f"max_norm must be above 0, found {max_norm}")
    return float(nn.utils.clip_grad_norm_(parameters, max_norm))


def _groups(
    parameters: Iterable[tuple[str, nn.Parameter]], weight_decay: float
) -> list[dict[str, object]]:
    trained = [(name, held) for name, held in parameters if held.requires_grad]
    if not trained:
        raise UsageError("optimiser", "there must be a parameter to train, found none")
    decayed = [held for name, held in trained if _decays(name, held)]
    others = [held for name, held in trained if not _decays(name, held)]
    groups = ((decayed, weight_decay), (others, 0.0))
    return [{"params": held, "weight_decay": decay} for held, decay in groups if held]


def _decays(name: str, parameter: Tensor) -> bool:
    return parameter.ndim >= 2 and not name.rsplit(".", 1)[-1].startswith("initial_")


def _check(
    name: str, lr: float, weight_decay: float, momentum: float, betas: tuple[float, float]
) -> None:
    check_choice("optimiser", "name", name, NAMES)
    rules = (
        (0 < lr < math.inf, "lr must be above 0", lr),
        (0 <= weight_decay < math.inf, "weight_decay must be at least 0", weight_decay),
        (0 <= momentum < 1, "momentum must be from 0 to below 1", momentum),
        (all(0 <= beta < 1 for beta in betas), "betas must be from 0 to below 1", betas),
    )
    for holds, rule, found in rules:
        if not holds:
            raise UsageError("optimiser", f"{rule}, found {found}")
