"""Measure elman beside its peers.

    python -m benchmarks [SUITE ...] [--quick] [--threads 2] [--results FOLDER]

Prints each suite with its targets and keeps it as JSON. The results that are committed, and the
page made of them, change only in a full run. Exits with 1 if any result was wrong.
"""

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import torch

from benchmarks import jax_peer, machine, page, report
from benchmarks.record import RESULTS, Result, write
from benchmarks.suites import NAMES, Settings, suite, title

QUICK = Path("build/benchmarks")


def measure(name: str, threads: int, quick: bool) -> Result:
    """Run one suite; what is said on the way shows that it moves."""
    settings = Settings(threads, quick, absent={})
    rows = []
    commit, dirty = machine.commit()
    for row in suite(name)(settings):
        rows.append(row)
        print(f"  {row.case}", file=sys.stderr, flush=True)
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Result(
        suite=name,
        quick=quick,
        date=date,
        commit=commit,
        dirty=dirty,
        threads=threads,
        machine=machine.machine(),
        versions=machine.versions(),
        absent=settings.absent,
        rows=rows,
    )


def show(result: Result) -> None:
    print(f"\n{title(result.suite)} ({report.moment(result)})\n")
    if result.rows:
        print(report.columns(report.table(result)))
    for note in report.notes(result):
        print(note)
    targets = report.verdicts(result)
    if len(targets) > 1:
        print(f"\n{report.columns(targets)}")
    sys.stdout.flush()


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="tiny cases: does it run at all?")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--results", type=Path, help="folder for the JSON files")
    options = parser.parse_args(words)
    if unknown := set(options.suites) - set(NAMES):
        parser.error(f"SUITE must be among {', '.join(NAMES)}, found {', '.join(sorted(unknown))}")
    folder = options.results or (QUICK if options.quick else RESULTS)
    torch.set_num_threads(options.threads)
    jax_peer.limit_threads(options.threads)
    wrong, begun = False, time.monotonic()
    suites = options.suites or NAMES
    for name in suites:
        result = measure(name, options.threads, options.quick)
        if name == suites[0]:
            print(report.circumstances(result))
        show(result)
        write(result, folder)
        wrong |= any(row.refused for row in result.rows)
    if folder.resolve() == RESULTS:
        page.update()
    print(f"\n{time.monotonic() - begun:.0f} s; kept in {folder}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
