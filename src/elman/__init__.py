"""elman: train recurrent networks on sequences and run them one timestep at a time."""

__version__ = "0.1.0"
