"""Networks at work: one timestep at a time, on NumPy and the native core, without PyTorch."""

from elman.runtime.stream import Stream as Stream
