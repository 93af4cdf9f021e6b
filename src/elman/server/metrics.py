"""What is counted, in the text format of Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.process_collector import ProcessCollector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """One server's counters; nothing in them says what was typed, or by whom."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.sessions = Gauge("elman_sessions", "Open sessions", registry=registry)
        self.opened = Counter(
            "elman_sessions_opened", "Sessions opened, new or continued", ["how"], registry=registry
        )
        self.closed = Counter(
            "elman_sessions_closed", "Sessions closed, by close code", ["code"], registry=registry
        )
        self.refused = Counter(
            "elman_refused", "Requests and sessions refused, by status", ["reason"],
            registry=registry,
        )  # fmt: skip
        self.edits = Counter("elman_edits", "Edits read", registry=registry)
        self.skipped = Counter(
            "elman_edits_skipped", "Edits that a newer one overtook, without suggestions",
            registry=registry,
        )  # fmt: skip
        self.characters = Counter(
            "elman_characters", "Characters fed or written", ["by"], registry=registry
        )
        self.answered = Histogram(
            "elman_suggestion_seconds", "From an edit's arrival to its suggestions",
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.waited = Histogram(
            "elman_wait_seconds", "Time that work waited for a thread",
            buckets=SECONDS, registry=registry,
        )  # fmt: skip

    def text(self) -> bytes:
        """All of them."""
        return generate_latest(self._registry)
