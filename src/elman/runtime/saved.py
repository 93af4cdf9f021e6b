"""The state of a stream as bytes, to go on in another process; those from elsewhere are hostile.

``elmanst1`` · what kind of stream, 1 byte · the model's fingerprint, 16 bytes · the content · a
BLAKE2b checksum of all that, 16 bytes. Numbers are little-endian.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError

MAGIC = b"elmanst1"
HEAD, SUM = len(MAGIC) + 1 + 16, 16
STREAM, TEXT = b"s", b"t"


def seal(kind: bytes, fingerprint: bytes, content: bytes) -> bytes:
    """What :func:`unseal` opens."""
    sealed = MAGIC + kind + fingerprint + content
    return sealed + _checksum(sealed)


def unseal(kind: bytes, fingerprint: bytes, data: bytes, most: int) -> bytes:
    """The content. Of more than ``most`` bytes, which no such stream has, nothing is looked at.

    Raises :class:`~elman.errors.DataError` for bytes that are damaged, or that belong to another
    kind of stream, another model, or one whose weights are kept otherwise.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise DataError("restore", f"a state must be bytes, found a {type(data).__name__}")
    data = bytes(data)
    if not HEAD + SUM <= len(data) <= HEAD + most + SUM or not data.startswith(MAGIC):
        raise DataError("restore", f"a state must be what state_bytes gave, {_found(data)}")
    sealed, checksum = data[:-SUM], data[-SUM:]
    if checksum != _checksum(sealed):
        raise DataError("restore", "a state must be whole, its checksum is wrong; save it again")
    if sealed[len(MAGIC) : HEAD] != kind + fingerprint:
        raise DataError(
            "restore", "a state must be of this very model and kind of stream, it is of another"
        )
    return sealed[HEAD:]


def numbers(content: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array of its own, finite. DataError for another size."""
    dtype = dtype.newbyteorder("<")
    expected = int(np.prod(shape)) * dtype.itemsize
    if len(content) != expected:
        found = f"found {len(content)}"
        raise DataError("restore", f"a state must hold {expected} bytes of numbers here, {found}")
    array = np.frombuffer(content, dtype).astype(dtype.newbyteorder("=")).reshape(shape)
    if not np.isfinite(array).all():
        raise DataError("restore", "a state must be finite, found NaN or infinity")
    return array


def _found(data: bytes) -> str:
    return f"found {len(data)} bytes that begin with {data[:8].hex() or 'nothing'}"


def _checksum(data: bytes) -> bytes:
    import hashlib  # 3 ms: it loads OpenSSL

    return hashlib.blake2b(data, digest_size=SUM).digest()
