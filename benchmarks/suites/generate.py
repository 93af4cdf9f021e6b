"""Text written one character at a time, each drawn from what the model says of the last."""

from collections.abc import Iterator

from benchmarks import onnx_peer
from benchmarks.language import LENGTH, Language, writers
from benchmarks.measure import compare
from benchmarks.record import Row
from benchmarks.shapes import STEP_SIZES, Shape
from benchmarks.suites import Settings
from elman.spec import CELLS

SECONDS = 3.0


def rows(settings: Settings) -> Iterator[Row]:
    with_onnx = settings.present("onnxruntime", onnx_peer.absent())
    for size in STEP_SIZES[:1] if settings.quick else STEP_SIZES:
        for cell in CELLS:
            language = Language(cell, size)
            shape = str(Shape(1, 1, language.spec.embedding_size, size))
            made = list(writers(language, settings.threads, with_onnx))
            yield compare(cell, shape, made, settings.seconds(SECONDS), characters=LENGTH)
