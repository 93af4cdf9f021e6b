from typing import Any

from numpy.typing import NDArray

def isas() -> list[str]: ...
def isa() -> str: ...
def has_tiles() -> bool: ...
def log_softmax(y: NDArray[Any]) -> None: ...
def draw(
    log_probs: NDArray[Any],
    forbidden: NDArray[Any],
    uniform: float,
    temperature: float,
    top_k: int,
    top_p: float,
) -> int: ...
def apply(function: str, input: NDArray[Any], out: NDArray[Any]) -> None: ...

class _Stack:
    def __init__(self) -> None: ...
    def add_layer(
        self,
        cell: str,
        weights: str,
        inputs: int,
        units: int,
        outputs: int,
        order: int,
        relu: bool,
        keep_h: float,
        keep_c: float,
        arrays: dict[str, NDArray[Any]],
    ) -> None: ...

class Stack32(_Stack): ...
class Stack64(_Stack): ...

class _Stream:
    def __init__(self, stack: Any, batch: int, batched: bool) -> None: ...
    def timestep(self, x: NDArray[Any], out: NDArray[Any], /) -> None: ...
    def advance(
        self,
        x: NDArray[Any],
        states: NDArray[Any],
        out: NDArray[Any],
        after: NDArray[Any],
        /,
    ) -> None: ...
    def predict(
        self,
        token: int,
        states: NDArray[Any],
        log_probs: NDArray[Any],
        after: NDArray[Any],
        /,
    ) -> None: ...
    def compose(
        self,
        token: int,
        states: NDArray[Any],
        forbidden: NDArray[Any],
        uniforms: NDArray[Any],
        temperature: float,
        top_k: int,
        top_p: float,
        tokens: NDArray[Any],
        log_probs: NDArray[Any],
        after: NDArray[Any],
        /,
    ) -> None: ...
    def state_size(self) -> int: ...
    def reset(self) -> None: ...
    def read(self, layer: int, index: int, out: NDArray[Any], /) -> None: ...
    def write(self, layer: int, index: int, state: NDArray[Any], /) -> None: ...

class Stream32(_Stream): ...
class Stream64(_Stream): ...
