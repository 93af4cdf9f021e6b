import torch

from elman.bptt import detach


def test_detach_keeps_values_and_nesting_and_cuts_gradients():
    leaf = torch.tensor([1.0, 2.0], requires_grad=True)
    state = (leaf * 2, [leaf + 1, (leaf,)])
    cut = detach(state)
    assert type(cut) is tuple
    assert type(cut[1]) is list
    for found, expected in ((cut[0], [2, 4]), (cut[1][0], [2, 3]), (cut[1][1][0], [1, 2])):
        assert found.tolist() == expected
        assert not found.requires_grad
    assert detach(None) is None
    moved = detach(state, torch.device("meta"))
    assert moved[1][1][0].device.type == "meta"
