"""Training on a ragged batch, lengths uniform in 1..T in any order."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch

from benchmarks import elman_peer, torch_peer
from benchmarks.measure import compare
from benchmarks.problem import draw
from benchmarks.record import Row
from benchmarks.shapes import RAGGED
from benchmarks.suites import Settings
from elman.spec import CELLS

SECONDS = 8.0


def rows(settings: Settings) -> Iterator[Row]:
    (shape,) = settings.shapes(RAGGED)
    for cell in CELLS:
        ragged = draw(cell, shape, ragged=True)
        full = replace(ragged, lengths=None)
        layer, theirs = elman_peer.layer(ragged), torch_peer.layer(ragged)
        call = partial(layer, lengths=torch.from_numpy(ragged.lengths))
        contestants = [
            torch_peer.training("elman ragged", ragged, layer, call=call),
            torch_peer.training("elman full batch", full, layer),
            torch_peer.training("torch.nn full batch", full, theirs),
        ]
        if cell == "lstm":
            packed = torch_peer.packed(ragged, theirs)
            contestants.append(torch_peer.training("torch.nn packed", ragged, theirs, call=packed))
        yield compare(cell, str(shape), contestants, settings.seconds(SECONDS))
