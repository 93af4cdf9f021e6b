"""Schedules against their closed forms, and against PyTorch's where PyTorch has the same."""

import json
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch.optim import SGD, lr_scheduler

from elman.errors import ModelError, UsageError
from elman.train.schedule import SCHEDULES, Constant, Cosine, Plateau, Step


def optimiser() -> SGD:
    return SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)


def rates(scheduler: lr_scheduler.LRScheduler, steps: int) -> list[float]:
    """The learning rate PyTorch would use at each step."""
    found = []
    for _ in range(steps):
        found.append(float(scheduler.get_last_lr()[0]))
        scheduler.optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize("warmup", [1, 2, 7])
def test_warmup_rises_linearly_to_one(warmup: int) -> None:
    schedule = Constant(warmup=warmup)
    factors = [schedule.factor(step) for step in range(warmup + 3)]
    assert factors == [*((step + 1) / warmup for step in range(warmup)), 1, 1, 1]
    if warmup > 1:
        theirs = lr_scheduler.LinearLR(optimiser(), 1 / warmup, 1.0, warmup - 1)
        assert factors == pytest.approx(rates(theirs, warmup + 3), rel=1e-12)


def test_no_warmup_is_one_from_the_start() -> None:
    assert [Constant().factor(step) for step in (0, 1, 10**9)] == [1, 1, 1]


@pytest.mark.parametrize("floor", [0.0, 0.1, 1.0])
def test_cosine_is_pytorchs(floor: float) -> None:
    ours = Cosine(total=63, floor=floor)
    theirs = lr_scheduler.CosineAnnealingLR(optimiser(), T_max=63, eta_min=floor)
    assert [ours.factor(step) for step in range(64)] == pytest.approx(rates(theirs, 64), abs=1e-12)


def test_cosine_after_warmup() -> None:
    """The cosine starts where the warm-up ends, is half way in the middle, and stays down."""
    schedule = Cosine(warmup=10, total=110, floor=0.2)
    assert schedule.factor(4) == 0.5
    assert schedule.factor(9) == schedule.factor(10) == 1.0
    assert schedule.factor(60) == pytest.approx(0.6)
    assert schedule.factor(35) == pytest.approx(0.2 + 0.8 * (1 + math.sqrt(0.5)) / 2)
    assert schedule.factor(110) == schedule.factor(10**6) == pytest.approx(0.2)
    assert all(a > b for a, b in pairwise(schedule.factor(step) for step in range(10, 111)))


def test_step_is_pytorchs_milestones() -> None:
    ours = Step(milestones=(3, 8, 9), gamma=0.3)
    theirs = lr_scheduler.MultiStepLR(optimiser(), [3, 8, 9], gamma=0.3)
    assert [ours.factor(step) for step in range(20)] == pytest.approx(rates(theirs, 20), rel=1e-12)


def test_step_follows_zaremba() -> None:
    """Their medium model: rate 1 for 6 epochs, then divided by 1.2 in every later epoch."""
    steps = 5
    schedule = Step(milestones=(6 * steps,), every=steps, gamma=1 / 1.2)
    by_epoch = [schedule.factor(epoch * steps) for epoch in range(10)]
    assert by_epoch == pytest.approx([1] * 6 + [1.2**-1, 1.2**-2, 1.2**-3, 1.2**-4])
    last_of_epoch = [schedule.factor(epoch * steps + steps - 1) for epoch in range(10)]
    assert last_of_epoch == by_epoch


LOSSES = [3.0, 2.0, 2.0, 2.5, 1.9, 1.9, 1.9, 1.9, math.nan, 1.0, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5]


@pytest.mark.parametrize("patience", [0, 1, 3])
@pytest.mark.parametrize("threshold", [0.0, 0.15])
def test_plateau_is_pytorchs(patience: int, threshold: float) -> None:
    ours = Plateau(gamma=0.5, patience=patience, threshold=threshold, floor=0.06)
    theirs = lr_scheduler.ReduceLROnPlateau(
        optimiser(),
        factor=0.5,
        patience=patience,
        threshold=threshold,
        threshold_mode="abs",
        min_lr=0.06,
        eps=0,
    )
    found, expected = [], []
    for loss in LOSSES:
        ours.observe(loss)
        theirs.step(loss)
        found.append(ours.factor(0))
        expected.append(theirs.get_last_lr()[0])
    assert found == expected
    assert found[-1] < 1


def test_plateau_takes_negative_losses() -> None:
    """A relative threshold, as PyTorch's default, would call -2 to -3 no improvement."""
    schedule = Plateau(threshold=0.1)
    for loss in (-1.0, -2.0, -3.0):
        schedule.observe(loss)
    assert schedule.factor(0) == 1.0


@pytest.mark.parametrize("cut", range(len(LOSSES) + 1))
def test_plateau_goes_on_from_its_state(cut: int) -> None:
    whole, before, after = (Plateau(gamma=0.7, patience=1) for _ in range(3))
    for loss in LOSSES:
        whole.observe(loss)
    for loss in LOSSES[:cut]:
        before.observe(loss)
    after.load(json.loads(json.dumps(before.state(), allow_nan=False)))
    for loss in LOSSES[cut:]:
        after.observe(loss)
    assert after.factor(3) == whole.factor(3) < 1
    assert after.state() == whole.state()


def test_plateau_refuses_another_schedules_state() -> None:
    with pytest.raises(ModelError, match="the schedule's state lacks 'best'"):
        Plateau().load(Constant().state())


def test_observing_changes_nothing_but_plateau() -> None:
    schedule = Cosine(total=10)
    before = schedule.factor(5)
    schedule.observe(1.0)
    schedule.observe(2.0)
    schedule.load(schedule.state())
    assert schedule.factor(5) == before


def test_names() -> None:
    expected = {"constant": Constant, "cosine": Cosine, "step": Step, "plateau": Plateau}
    assert expected == SCHEDULES


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(warmup=-1), "warmup must be at least 0 steps, found -1"),
        (lambda: Cosine(warmup=5, total=5), "total must exceed warmup = 5, found 5"),
        (lambda: Cosine(total=5, floor=1.5), "floor must be from 0 to 1, found 1.5"),
        (lambda: Cosine(total=5, floor=math.nan), "floor must be from 0 to 1, found nan"),
        (lambda: Step(milestones=()), "milestones must rise, found ()"),
        (lambda: Step(milestones=(5, 5)), "milestones must rise, found (5, 5)"),
        (lambda: Step(milestones=(5,), every=-1), "every must be at least 0 steps, found -1"),
        (lambda: Step(milestones=(5,), gamma=0), "gamma must be above 0 and at most 1, found 0"),
        (lambda: Plateau(gamma=2), "gamma must be above 0 and at most 1, found 2"),
        (lambda: Plateau(patience=-1), "patience must be at least 0, found -1"),
        (lambda: Plateau(threshold=-1), "threshold must be at least 0, found -1"),
        (lambda: Plateau(floor=-1), "floor must be from 0 to 1, found -1"),
    ],
    ids=lambda value: value.split(",")[0] if isinstance(value, str) else "",
)
def test_refuses(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert str(caught.value) == f"[schedule] {message}"
