"""``load``: from a model folder to a model that runs, trusting nothing in it."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from elman.decode.suggest import Lexicon
from elman.encode.text import Vocabulary, from_json
from elman.errors import ModelError, UsageError, check_choice
from elman.modelfile import ModelFolder, check_tensors, read
from elman.modelfile.narrow import Narrow
from elman.modelfile.text import TASK as TEXT
from elman.modelfile.text import TextModelSpec
from elman.runtime.batch import Batcher
from elman.runtime.engine import pack
from elman.runtime.plan import FORMATS, Plan, make_plan
from elman.runtime.predictor import RowsPredictor
from elman.runtime.rows import Rows
from elman.runtime.stream import Stream
from elman.runtime.text import TextStream
from elman.storage import shown


class Model:
    """A network ready to run: constant, shared by all of its streams, used by any thread.

    ``task``: what it was made for. ``spec``: what ``config.json`` says of it. ``fingerprint``:
    16 bytes that tell this model, with weights kept as they are, from any other.
    """

    def __init__(self, task: str, spec: Any, plan: Plan, fingerprint: bytes) -> None:
        self.task, self.spec, self.fingerprint = task, spec, fingerprint
        self._plan, self._stack = plan, pack(plan)
        self.rows = Rows(plan, self._stack)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of inputs, outputs and states."""
        return self._plan.dtype

    @property
    def weights(self) -> str:
        """How the weights are kept."""
        return self._plan.weights

    @property
    def parameters(self) -> int:
        """How many numbers were learned; those that two layers share count once."""
        arrays = [array for layer in self._plan.layers for array in layer.arrays.values()]
        if self._plan.embedding is not None:
            arrays.append(self._plan.embedding)
        return sum(array.size for array in {id(array): array for array in arrays}.values())

    def stream(self, batch_size: int | None = None) -> Stream:
        """A stream, or ``batch_size`` of them in step, with the initial state."""
        return Stream(self._plan, self._stack, batch_size, self.fingerprint)


class TextModel(Model):
    """A model of text: its ``vocabulary``, and streams that read, suggest and write."""

    def __init__(
        self, spec: TextModelSpec, plan: Plan, fingerprint: bytes, vocabulary: Vocabulary
    ) -> None:
        super().__init__(TEXT, spec, plan, fingerprint)
        self.vocabulary = vocabulary

    @cached_property
    def _lexicon(self) -> Lexicon:
        return Lexicon(self.vocabulary)

    def predictor(self, batcher: Batcher | None = None) -> RowsPredictor:
        """The model as ``elman.decode`` takes it; what it computes goes through ``batcher``."""
        return RowsPredictor(batcher or self.rows, self.vocabulary)

    def stream(  # type: ignore[override]
        self, *, batcher: Batcher | None = None
    ) -> TextStream:
        """A stream that nothing was fed to; what it computes goes through ``batcher``."""
        return TextStream(self.predictor(batcher), self._lexicon, self.fingerprint)

    def tokens(self, batch_size: int | None = None) -> Stream:
        """A stream of bare timesteps: a token's id in, V outputs before the softmax out."""
        return super().stream(batch_size)


def load(folder: str | Path, weights: str | None = None) -> Model:
    """Read a model folder: a :class:`TextModel`, or a :class:`Model` of another task.

    ``weights``: how to keep them, as in ``Stream.from_weights``; None for as the folder does.

    Every count, name, shape and type is checked before memory is taken for it. Raises
    :class:`~elman.errors.ModelError` for what is not a sound model folder of a known task,
    :class:`~elman.errors.UsageError` for unknown ``weights`` and
    :class:`~elman.errors.StorageError` when the disk refuses.
    """
    if weights is not None:
        check_choice("load model", "weights", weights, FORMATS)
    held = read(folder)
    if held.task == TEXT:
        return _text(held, weights)
    from elman.runtime import stack  # 4 ms that a text model does not need

    if held.task == stack.TASK:
        spec, plan = stack.spec_and_plan(held, weights)
        return Model(held.task, spec, plan, _fingerprint(held, plan.weights))
    rule = f"{shown(folder)} must be a model of task {TEXT} or {stack.TASK}"
    raise ModelError("load model", f"{rule}, found {shown(held.task)!r}; use its own command")


def _text(held: ModelFolder, weights: str | None) -> TextModel:
    if held.tokenizer is None:
        raise ModelError("load model", "a text model must have tokenizer.json, found none; copy it")
    spec = TextModelSpec.from_json(held.spec)
    vocabulary = from_json(held.tokenizer)
    check_tensors(held.tensors, spec.tensor_shapes(len(vocabulary)))
    try:
        plan = make_plan(
            "load model",
            spec.cell,
            held.arrays(),
            weights=weights or held.weights,
            zoneout=spec.zoneout,
            tie=spec.tie,
            layer_norm=spec.layer_norm,
        )
    except UsageError as error:
        raise ModelError("load model", error.message) from None
    return TextModel(spec, plan, _fingerprint(held, plan.weights), vocabulary)


def _fingerprint(held: ModelFolder, weights: str) -> bytes:
    import hashlib  # see elman.runtime.saved

    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((held.task, held.spec, held.tokenizer, weights)).encode())
    for name, array in sorted(held.tensors.items()):
        parts = (array,) if not isinstance(array, Narrow) else (array.codes, array.scale)
        for part in parts:
            if part is not None:
                digest.update(f"{name} {part.dtype} {part.shape} ".encode())
                digest.update(part.data)
    return digest.digest()
