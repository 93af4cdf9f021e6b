"""Recurrent layers for PyTorch: drop-in for ``torch.nn``, with the options it lacks."""

from elman.nn.convert import convert as convert
from elman.nn.export import export as export
from elman.nn.functional import implementation as implementation
from elman.nn.layers import GRU as GRU
from elman.nn.layers import LSTM as LSTM
from elman.nn.layers import RNN as RNN
from elman.nn.recurrent import Recurrent as Recurrent
