"""A run is given away as a model folder, in every format of weights."""

import pytest

from elman import modelfile
from elman.runtime import load

pytestmark = pytest.mark.commands


@pytest.mark.parametrize("weights", ["float32", "bfloat16", "int8"])
def test_what_is_exported_predicts_as_well(elman, trained, home, weights):
    done = elman("export", trained, "model", "--weights", weights)
    assert done.code == 0 and f"a text model with {weights} weights" in done.out
    model = load("model")
    assert model.weights == weights
    wanted, found = (
        elman("evaluate", each, home / "text.txt", "--json", "--words", 5).json[
            "nats_per_character"
        ]
        for each in self_and_export(trained, home)
    )
    assert found == pytest.approx(wanted, rel=1e-7 if weights == "float32" else 0.01)
    readme = modelfile.read("model").readme
    assert readme.startswith("# A text model trained with elman")
    assert f"Exported by elman with {weights} weights" in readme


def self_and_export(trained, home):
    (home / "text.txt").write_text("the quick brown fox jumps over a lazy dog while birds sing\n")
    return trained, home / "model"


def test_an_export_can_be_exported_again_and_replaced(elman, trained, home):
    assert elman("export", trained, "a", "--weights", "int8").code == 0
    assert elman("export", "a", "b").code == 0
    assert elman("export", trained, "b").code == 0
    assert load("b").weights == "float32"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("export", "{run}", "{run}"), 2, "a model folder is replaced whole"),
        (("export", "{run}", "{run}/best"), 2, "FOLDER must not be the model itself"),
        (("export", "{run}", "x", "--weights", "int4"), 2, "weights must be one of"),
        (("export", "nothing", "x"), 5, "there is none"),
    ],
    ids=["run", "itself", "weights", "nothing"],
)
def test_what_is_refused(elman, trained, home, words, code, said):
    answer = elman(*(word.format(run=trained) for word in words))
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err and answer.err.count("\n") == 1
    assert not (home / "x").exists()
