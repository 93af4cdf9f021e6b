"""``elman.nn.RNN``, ``GRU`` and ``LSTM``: drop-in for ``torch.nn``, with what it lacks."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from elman.nn.stack import RecurrentStack


class RNN(RecurrentStack):
    """Elman network, ``h_t = f(W_ih x_t + b_ih + Σ_j W_hh^(j) h_{t-j} + b_hh)``, j = 1..order.

    Arguments as ``torch.nn.RNN``, and those of :class:`~elman.nn.stack.RecurrentStack`.
    ``nonlinearity``: "tanh" or "relu". ``order``: how many previous timesteps are fed back; above
    1 the state is a tuple (h_{t-1}, ..., h_{t-order}). Source: Elman (1990).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        order: int = 1,
        **options: Any,
    ) -> None:
        cell = {"nonlinearity": nonlinearity, "order": order}
        shared = (bias, batch_first, dropout, bidirectional)
        super().__init__("elman", cell, input_size, hidden_size, num_layers, *shared, **options)
        self.nonlinearity = nonlinearity


class GRU(RecurrentStack):
    """Gated recurrent unit as ``torch.nn.GRU`` has it: ``r`` multiplies ``W_hn h + b_hn``.

    Arguments as ``torch.nn.GRU``, and those of :class:`~elman.nn.stack.RecurrentStack`.
    Source: Cho et al. (2014).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        **options: Any,
    ) -> None:
        shared = (bias, batch_first, dropout, bidirectional)
        super().__init__("gru", {}, input_size, hidden_size, num_layers, *shared, **options)


class LSTM(RecurrentStack):
    """Long short-term memory with forget gates.

    Arguments as ``torch.nn.LSTM``, and those of :class:`~elman.nn.stack.RecurrentStack`.
    ``peephole``: the gates see the cell state (Gers & Schmidhuber 2000). ``forget_bias``: value
    that the forget gate's bias starts at, 1 by the advice of Jozefowicz et al. (2015); None leaves
    PyTorch's initialisation. Source: Hochreiter & Schmidhuber (1997).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        peephole: bool = False,
        forget_bias: float | None = None,
        **options: Any,
    ) -> None:
        cell = {"peephole": peephole, "proj_size": proj_size}
        shared = (bias, batch_first, dropout, bidirectional)
        self.forget_bias = forget_bias
        super().__init__("lstm", cell, input_size, hidden_size, num_layers, *shared, **options)
        self.proj_size = proj_size

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        super().reset_parameters()
        if self.forget_bias is None:
            return
        for name, parameter in self.named_parameters():
            if name.startswith(("bias_ih", "bias_hh")):
                forget = parameter.detach().chunk(4)[self.specs[0][0].gates.index("f")]
                nn.init.constant_(forget, self.forget_bias if "_ih" in name else 0.0)
