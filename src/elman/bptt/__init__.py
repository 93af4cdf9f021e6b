"""Backpropagation through time for sequences too long to be unrolled whole."""

from elman.bptt.truncated import detach as detach
