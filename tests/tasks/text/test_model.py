"""The model and its scores against the same network written with the NumPy reference."""

import numpy as np
import pytest
import torch

from elman.errors import DataError, ModelError, UsageError
from elman.modelfile.text import TextModelSpec
from elman.reference import Linear, build, cross_entropy, forward
from elman.tasks.text.model import TextModel, TorchPredictor
from elman.tasks.text.score import nats

CASES = {
    "lstm": {},
    "gru": {"cell": "gru"},
    "elman": {"cell": "elman"},
    "lstm-2-layers": {"layers": 2},
    "gru-tied": {"cell": "gru", "tie": True, "embedding": 0},
    "lstm-layer_norm-zoneout": {"layer_norm": True, "zoneout": 0.2},
}


@pytest.fixture(params=CASES.values(), ids=CASES)
def model(request, make_model):
    return make_model(**request.param)


def by_reference(model, tokens):
    """Logits (T, V) of one text, by the reference cells."""
    held = {name: value.numpy() for name, value in model.state_dict().items()}
    x = held["embedding.weight"][tokens][:, None]  # (T, 1, E)
    for layer, (spec,) in enumerate(model.recurrent.specs):
        suffix = f"_l{layer}"
        parameters = {n: held[f"recurrent.{n}{suffix}"] for n in spec.parameter_shapes}
        rate = model.spec.zoneout
        keep = (np.float64(rate),) * len(model.recurrent.zoneout) if rate else None
        x = forward(build(spec, parameters), x, keep=keep).outputs
    return Linear(held["output.weight"], held["output.bias"]).forward(x)[:, 0]


def test_forward_is_the_reference(model, text, vocabulary):
    tokens = vocabulary.encode(text)[:63]
    with torch.no_grad():
        logits, _ = model(torch.from_numpy(tokens.astype(np.int64))[:, None])
    np.testing.assert_allclose(logits[:, 0], by_reference(model, tokens), atol=1e-10)


def test_nats_are_the_references(model, text, vocabulary):
    tokens = vocabulary.encode(text)
    expected, _ = cross_entropy(by_reference(model, tokens[:-1]), tokens[1:])
    total, count = nats(model, tokens)
    assert count == len(tokens) - 1
    assert total / count == pytest.approx(expected, abs=1e-10)


def test_predictor_steps_as_the_whole(model, text, vocabulary):
    """Fed one token at a time, forked and reordered, each row predicts as its text alone."""
    predictor = TorchPredictor(model, vocabulary)
    tokens = vocabulary.encode(text)[:9]
    state = predictor.start()
    for token in tokens[:6]:
        _, state = predictor.advance(state, np.array([token]))
    state = predictor.join([state, state, state])
    branches = np.array([tokens[6], 2, 3])
    _, state = predictor.advance(state, branches)
    state = predictor.join([predictor.select(state, slice(row, row + 1)) for row in (2, 0)])
    found, _ = predictor.advance(state, np.array([1, tokens[7]]))
    for row, told in enumerate(([*tokens[:6], 3, 1], tokens[:8])):
        logits = by_reference(model, np.array(told))[-1]
        expected = logits - np.log(np.exp(logits).sum())
        np.testing.assert_allclose(found[row], expected, atol=1e-10)


def test_long_texts_are_cut_into_lanes_that_start_afresh(make_model, vocabulary, monkeypatch):
    from elman.runtime import score as module

    monkeypatch.setattr(module, "LANE", 10)
    model = make_model()
    tokens = np.arange(35, dtype=np.int32) % 9
    expected = sum(nats(model, tokens[start : start + 12])[0] for start in (0, 11, 22))
    monkeypatch.setattr(module, "LANE", 11)
    total, count = nats(model, tokens)
    assert count == 33
    assert total == pytest.approx(expected, abs=1e-9)


def test_a_text_of_one_token_cannot_be_scored(make_model):
    with pytest.raises(DataError, match="two tokens, found 1"):
        nats(make_model(), np.array([1]))


def test_tied_weights_are_one_parameter(make_model, vocabulary):
    model = make_model(tie=True, embedding=0)
    assert model.embedding.weight is model.output.weight
    assert model.embedding.weight.shape == (len(vocabulary), 5)


def test_dropout_acts_in_training_alone(vocabulary):
    torch.manual_seed(0)
    model = TextModel(TextModelSpec(hidden=8, dropout=0.5), len(vocabulary))
    tokens = torch.tensor([[1], [2], [3]])
    first, second = model(tokens)[0], model(tokens)[0]
    assert not torch.equal(first, second)
    model.eval()
    assert torch.equal(model(tokens)[0], model(tokens)[0])


def test_forget_bias_starts_at_one_on_request(vocabulary):
    model = TextModel(TextModelSpec(hidden=4, forget_bias=True), len(vocabulary))
    held = model.recurrent.state_dict()
    assert held["bias_ih_l0"][4:8].tolist() == [1.0] * 4
    assert held["bias_hh_l0"][4:8].tolist() == [0.0] * 4
    with pytest.raises(UsageError, match="forget_bias needs the lstm, found gru"):
        TextModelSpec(cell="gru", forget_bias=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cell": "rnn"}, "cell must be one of"),
        ({"hidden": "5"}, "no such hidden"),
        ({"hidden": True}, "no such hidden"),
        ({"hidden": 10**9}, "hidden must be from 1 to"),
        ({"layers": 65}, "layers must be from 1 to 64"),
        ({"extra": 1}, "no such extra"),
        ({"l\x7f\nyer": 1}, r"no such l\? yer: 1$"),
        ({"dropout": None}, "no such dropout"),
    ],
    ids=lambda value: "-".join(f"{k}-{v}" for k, v in value.items()) if type(value) is dict else "",
)
def test_a_spec_from_a_file_is_checked(change, words):
    with pytest.raises(ModelError, match=words):
        TextModelSpec.from_json(TextModelSpec().to_json() | change)


def test_a_spec_goes_through_json():
    spec = TextModelSpec(cell="gru", hidden=7, tie=True, zoneout=0.1)
    assert TextModelSpec.from_json(spec.to_json()) == spec
    incomplete = spec.to_json()
    del incomplete["tie"]
    with pytest.raises(ModelError, match="lacks tie"):
        TextModelSpec.from_json(incomplete)


def test_options_that_do_not_go_together():
    with pytest.raises(UsageError, match="tie needs embedding = hidden = 256, found 64"):
        TextModelSpec(tie=True, embedding=64)
