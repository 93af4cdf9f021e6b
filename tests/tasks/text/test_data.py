"""Token arrays on disk, and the lanes walked along them."""

import numpy as np
import pytest

from elman.errors import DataError, StorageError
from elman.tasks.text.data import Lanes
from elman.tasks.text.tokens import load_tokens, save_tokens


@pytest.mark.parametrize(
    ("count", "batch", "window"), [(50, 1, 7), (50, 3, 4), (101, 4, 25), (17, 16, 1), (64, 5, 12)]
)
def test_lanes_are_contiguous_and_cover_each_token_once(count, batch, window):
    tokens = np.arange(1000, 1000 + count, dtype=np.uint16)
    lanes = Lanes(tokens, batch, window)
    length = (count - 1) // batch
    inputs = np.concatenate([lanes[i][0].numpy() for i in range(len(lanes))])  # (length, B)
    targets = np.concatenate([lanes[i][1].numpy() for i in range(len(lanes))])
    expected = np.stack([1000 + b * length + np.arange(length) for b in range(batch)], axis=1)
    np.testing.assert_array_equal(inputs, expected)
    np.testing.assert_array_equal(targets, expected + 1)
    assert all(len(lanes[i][0]) == window for i in range(len(lanes) - 1))


def test_a_corpus_of_just_one_window_is_enough():
    lanes = Lanes(np.arange(13), batch=3, window=4)
    assert len(lanes) == 1
    with pytest.raises(DataError, match=r"batch \* window \+ 1 = 13 tokens, found 12"):
        Lanes(np.arange(12), batch=3, window=4)


@pytest.mark.parametrize(("top", "dtype"), [(255, "u1"), (256, "u2"), (65536, "u4")])
def test_tokens_are_kept_in_the_narrowest_type_and_mapped(tmp_path, top, dtype):
    tokens = np.array([3, top, 0, 1], np.int32)
    save_tokens(tmp_path / "deep" / "tokens.npy", tokens)
    mapped = load_tokens(tmp_path / "deep" / "tokens.npy")
    assert isinstance(mapped, np.memmap)
    assert mapped.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(mapped, tokens)
    inputs, targets = Lanes(mapped, 1, 3)[0]
    assert (inputs.flatten().tolist(), targets.flatten().tolist()) == ([3, top, 0], [top, 0, 1])


def test_a_file_that_holds_no_tokens(tmp_path):
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY rubbish")
    with pytest.raises(DataError, match="not what was saved"):
        load_tokens(tmp_path / "bad.npy")
    with pytest.raises(StorageError, match=r"none\.npy"):
        load_tokens(tmp_path / "none.npy")
    np.save(tmp_path / "pickled.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(DataError, match="not what was saved"):
        load_tokens(tmp_path / "pickled.npy")
