"""The training loop: forward, backward, clip, step; evaluate, sample, checkpoint, resume."""

import math
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from elman.bptt import detach
from elman.errors import DivergedError, ModelError, check_choice
from elman.tasks.task import Task
from elman.train import checkpoint, curve, metrics, optimiser
from elman.train.config import TrainingConfig
from elman.train.interrupt import Interrupt, Interrupted
from elman.train.progress import Progress
from elman.train.run import RunFolder
from elman.train.schedule import SCHEDULES, Constant, Cosine, Plateau, Step

ROW_EVERY = 20  # steps a row of metrics stands for


@dataclass
class Standing:
    """Where training stands: with model, optimiser and generator, all that a checkpoint holds.

    ``losses`` are those since the last row of metrics, ``evaluated`` the step of the last
    evaluation, ``stalled`` how many evaluations have not improved on ``best``.
    """

    step: int = 0
    carried: Any = None
    losses: list[float] = field(default_factory=list)
    evaluated: int = 0
    best: float = math.inf
    best_step: int = 0
    stalled: int = 0
    seconds: float = 0.0


class Trainer:
    """Train ``task`` in ``run`` as ``config`` says, from wherever the run stands.

    A checkpoint is written every ``checkpoint_seconds``, after each evaluation and at the end.
    Given the same machine, threads and configuration, the weights are the same to the last bit
    however often the run was stopped or killed.
    """

    def __init__(self, task: Task, config: TrainingConfig, run: RunFolder) -> None:
        self.task, self.config, self.run = task, config, run
        self.optimiser = optimiser.build(
            config.optimiser,
            task.model.named_parameters(),
            lr=config.lr,
            weight_decay=config.weight_decay,
            momentum=config.momentum,
        )
        self.total = config.epochs * task.batches
        self.schedule = _schedule(config, task.batches)
        self.at = Standing()
        self.notes: list[str] = []

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the loss has not improved for ``patience``."""
        patience = self.config.patience
        done = self.at.step >= self.total or (patience > 0 and self.at.stalled >= patience)
        return done and not self._evaluation_due

    def resume(self) -> bool:
        """Go on from the latest whole checkpoint, if any. ``notes`` tells of damage."""
        found = checkpoint.load_latest(self.run.checkpoints)
        if found is None:
            metrics.truncate(self.run.metrics, 0)
            return False
        self.notes += found.skipped
        held = checkpoint.unflatten(found.tensors, found.state)
        self.task.model.load_state_dict(held["model"])
        self.optimiser.load_state_dict(held["optimiser"])
        self.schedule.load(held["schedule"])
        _set_generators(held["generators"])
        self.at = Standing(**held["standing"])
        device = next(self.task.model.parameters()).device
        self.at.carried = detach(self.at.carried, device)
        metrics.truncate(self.run.metrics, self.at.step)
        return True

    def save(self) -> None:
        """Write a checkpoint of this moment."""
        standing = {name: getattr(self.at, name) for name in Standing.__dataclass_fields__}
        state = {
            "model": self.task.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state(),
            "generators": _generators(),
            "standing": standing,
        }
        tensors, tree = checkpoint.flatten(state)
        checkpoint.save(self.run.checkpoints, self.at.step, tensors, tree)

    def train(self, progress: Progress, checkpoint_seconds: float = 30.0) -> Standing:
        """Train to the end, with a checkpoint now and then and after each evaluation.

        Raises Interrupted after a signal and DivergedError for a loss that is not finite.
        """
        saved = time.monotonic()
        with Interrupt() as interrupt:
            while not self.finished:
                try:
                    if self._evaluation_due:
                        with interrupt.at_once():
                            loss = self.task.validate()
                        self._evaluated(loss, progress)
                        continue
                    self._step(progress)
                except KeyboardInterrupt:
                    pass
                if interrupt.received:
                    self.save()
                    raise Interrupted(interrupt.received, self.at.step)
                if time.monotonic() - saved > checkpoint_seconds:
                    self.save()
                    saved = time.monotonic()
        self.save()
        return self.at

    def dry_run(self, progress: Progress) -> tuple[float, float]:
        """Train one batch, validate one, and read a checkpoint back; losses of the two.

        Raises ModelError if what was read back is not what was written.
        """
        self._step(progress)
        loss = self.at.losses[-1]
        self.save()
        before = {name: value.clone() for name, value in self.task.model.state_dict().items()}
        self.resume()
        after = self.task.model.state_dict()
        if not all(torch.equal(value, after[name]) for name, value in before.items()):
            raise ModelError("dry run", "the checkpoint must read back as written; check the disk")
        return loss, self.task.validate(1)

    @property
    def _evaluation_due(self) -> bool:
        every = self.config.evaluate_every or self.task.batches
        step = self.at.step
        due = step % every == 0 or step >= self.total
        return step > 0 and due and self.at.evaluated != step

    def _step(self, progress: Progress) -> None:
        begun = time.monotonic()
        epoch, batch = divmod(self.at.step, self.task.batches)
        rate = self.config.lr * self.schedule.factor(self.at.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.task.model.train()
        loss, carried, units = self.task.loss(epoch, batch, None if batch == 0 else self.at.carried)
        value = float(loss.detach())
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = optimiser.clip(self.task.model.parameters(), self.config.clip or math.inf)
        if not (math.isfinite(value) and math.isfinite(norm)):
            raise DivergedError(
                "train",
                f"the loss must be finite, found {value} (gradient norm {norm}) at step "
                f"{self.at.step + 1}; lower --lr or --clip. The last good checkpoint is kept in "
                f"{self.run.checkpoints}",
            )
        self.optimiser.step()
        self.at.carried = detach(carried)
        self.at.step += 1
        self.at.losses.append(value)
        self.at.seconds += time.monotonic() - begun
        progress.update(
            step=self.at.step,
            epoch=self.at.step / self.task.batches,
            loss=sum(self.at.losses) / len(self.at.losses),
            units=round(units),
        )
        if len(self.at.losses) == ROW_EVERY or self._evaluation_due:
            mean = sum(self.at.losses) / len(self.at.losses)
            self._record(loss=mean, learning_rate=rate, gradient_norm=norm)
            self.at.losses.clear()

    def _evaluated(self, loss: float, progress: Progress) -> None:
        self.schedule.observe(loss)
        self.at.evaluated = self.at.step
        improved = loss < self.at.best
        self.at.stalled = 0 if improved else self.at.stalled + 1
        self._record(validation_loss=loss)
        if improved:
            self.at.best, self.at.best_step = loss, self.at.step
            self.task.save_model(self.run.best, self._history())
        curve.draw(metrics.read(self.run.metrics), self.run.curve, title=self.run.path.name)
        epoch = self.at.step / self.task.batches
        mark = "  best so far" if improved else ""
        progress.note(f"epoch {epoch:g}  validation loss {loss:.4f}{mark}")
        lines = self.task.sample(self.config.seed).splitlines()
        progress.note("\n".join(f"  | {line}" for line in lines))
        self.save()

    def _record(self, **values: float) -> None:
        epoch = round(self.at.step / self.task.batches, 6)
        row = {"epoch": epoch, **values, "seconds": round(self.at.seconds, 3)}
        metrics.append(self.run.metrics, self.at.step, row)

    def _history(self) -> dict[str, Any]:
        return {
            "validation_loss": self.at.best,
            "steps": self.at.best_step,
            "epochs": self.at.best_step / self.task.batches,
            "training": asdict(self.config),
        }


def _generators() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def _set_generators(states: dict[str, Any]) -> None:
    torch.set_rng_state(states["cpu"])
    if torch.cuda.device_count() == len(states["cuda"]) > 0:
        torch.cuda.set_rng_state_all(states["cuda"])


def _schedule(config: TrainingConfig, batches: int) -> Constant:
    check_choice("train", "schedule", config.schedule, SCHEDULES)
    total = config.epochs * batches
    warmup = min(config.warmup, total // 10)
    match config.schedule:
        case "cosine":
            return Cosine(warmup, total, floor=0.01)
        case "step":
            return Step(warmup, (config.decay_after * batches,), batches, config.decay)
        case "plateau":
            return Plateau(warmup, gamma=config.decay)
    return Constant(warmup)
