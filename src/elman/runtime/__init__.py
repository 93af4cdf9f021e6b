"""Networks at work: one timestep at a time, on NumPy and the native core, without PyTorch."""

from elman.runtime.batch import Batcher as Batcher
from elman.runtime.model import Model as Model
from elman.runtime.model import TextModel as TextModel
from elman.runtime.model import load as load
from elman.runtime.stream import Stream as Stream
from elman.runtime.text import TextStream as TextStream
