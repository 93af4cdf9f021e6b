"""What all requests share: the models, the threads, the sessions, and how many may come in."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from elman.runtime import Batcher, TextModel
from elman.server.limits import MAX_LATE, Limits
from elman.server.metrics import Metrics
from elman.server.record import Store
from elman.server.refusal import RefusedError
from elman.server.workers import Workers


@dataclass(frozen=True)
class Served:
    """A model under its name; all that runs on it at the same time shares one batcher."""

    name: str
    model: TextModel
    batcher: Batcher

    def facts(self) -> dict[str, Any]:
        """What ``/v1/models`` says of it."""
        spec = self.model.spec
        return {
            "name": self.name,
            "task": self.model.task,
            "cell": spec.cell,
            "hidden": spec.hidden,
            "layers": spec.layers,
            "level": self.model.vocabulary.level,
            "parameters": self.model.parameters,
        }


@dataclass
class Service:
    """One server's parts."""

    models: Mapping[str, Served]  # the first is the default
    limits: Limits
    store: Store
    workers: Workers
    metrics: Metrics
    draining: bool = False
    sessions: int = 0
    requests: int = 0
    live: dict[str, Callable[[], None]] = field(default_factory=dict)  # id -> end its socket

    def model(self, name: str | None) -> Served:
        """The model of that name, or the first. Raises :class:`RefusedError` if there is none."""
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            raise RefusedError(404, "model", f"model must be one of {', '.join(self.models)}")
        return self.models[name]

    @contextmanager
    def session(self) -> Iterator[None]:
        """A place for a session. Raises :class:`RefusedError` if there is none."""
        self._admit("sessions", self.sessions, self.limits.sessions)
        self.sessions += 1
        self.metrics.sessions.inc()
        try:
            yield
        finally:
            self.sessions -= 1
            self.metrics.sessions.dec()

    @contextmanager
    def request(self) -> Iterator[None]:
        """A place for a request. Raises :class:`RefusedError` if there is none."""
        self._admit("requests", self.requests, self.limits.requests)
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1

    def _admit(self, what: str, found: int, most: int) -> None:
        """Better nobody new than everybody slow."""
        if self.draining:
            raise RefusedError(503, "serve", "the server is stopping; try again soon")
        if found >= most:
            rule = f"at most {most} {what} are served at a time; try later"
            raise RefusedError(503, "serve", rule)
        if self.workers.late > MAX_LATE:
            raise RefusedError(503, "serve", "all threads are busy; try again soon")
