"""The cells forward and backward through time, in NumPy float64, made to be read.

Read in this order: ``elman``, ``gru`` and ``lstm`` (one timestep each), ``recurrence`` (the loop
over time and back), ``output``, ``sgd`` and ``network``. What the cells share is in ``cell``, and
the options of a sequence are checked in ``plan``. Every faster implementation is compared with
this one. Nothing here is differentiated automatically.
"""

from elman.reference.build import build as build
from elman.reference.build import initialise as initialise
from elman.reference.cell import Cell as Cell
from elman.reference.elman import Elman as Elman
from elman.reference.gru import GRU as GRU
from elman.reference.lstm import LSTM as LSTM
from elman.reference.network import Network as Network
from elman.reference.output import Linear as Linear
from elman.reference.output import cross_entropy as cross_entropy
from elman.reference.output import softmax as softmax
from elman.reference.recurrence import Gradients as Gradients
from elman.reference.recurrence import Trace as Trace
from elman.reference.recurrence import backward as backward
from elman.reference.recurrence import forward as forward
from elman.reference.sgd import sgd as sgd
