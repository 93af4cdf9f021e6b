"""What is measured: the shapes, and how much arithmetic they ask for."""

from dataclasses import dataclass

from elman.spec import CELLS


@dataclass(frozen=True)
class Shape:
    """A whole sequence: T timesteps of B rows, D inputs, H hidden units."""

    steps: int
    batch: int
    inputs: int
    hidden: int

    def __str__(self) -> str:
        return f"{self.steps},{self.batch},{self.inputs},{self.hidden}"


MIDDLE = Shape(128, 64, 256, 256)
LARGE = Shape(64, 64, 512, 512)
SINGLE = Shape(1024, 1, 128, 128)
LONG = Shape(1000, 16, 40, 256)
TABLE = (Shape(64, 32, 64, 128), MIDDLE, LARGE, SINGLE, LONG)
RAGGED = Shape(1000, 32, 256, 256)
TINY = Shape(20, 4, 24, 32)  # for a quick look
STEP_SIZES = (64, 128, 256, 512)  # of one timestep: input size = hidden size


def forward_flops(cell: str, shape: Shape) -> int:
    """Multiplications and additions of the matrix products, which are all that is counted."""
    rows = len(CELLS[cell].gates) * shape.hidden
    return 2 * shape.steps * shape.batch * rows * (shape.inputs + shape.hidden)


def training_flops(cell: str, shape: Shape) -> int:
    """Forward, and backward twice as much: each product gives two gradients."""
    return 3 * forward_flops(cell, shape)
