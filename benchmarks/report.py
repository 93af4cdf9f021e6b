"""Results as tables: printed in columns, or as Markdown."""

from collections.abc import Iterator, Sequence

from benchmarks.record import Result, Row
from benchmarks.targets import TARGETS, fraction

Table = list[list[str]]  # the header first
SCATTER = 1.4  # between quartiles, or between the sgemm rates of two cases, on a machine at peace


def contestants(rows: Sequence[Row]) -> list[str]:
    """Every name, in the order of appearance."""
    return list(dict.fromkeys(name for row in rows for name in (*row.figures, *row.refused)))


def table(result: Result) -> Table:
    """A line a case, a column a contestant.

    A cell holds the amount and, but for the first contestant, its ratio to that of the first; with
    known arithmetic also GFLOP/s and the fraction of sgemm.
    """
    names = contestants(result.rows)
    with_sgemm = any(row.sgemm for row in result.rows)
    header = ["case", *names, *(["sgemm GFLOP/s"] if with_sgemm else [])]
    lines = [header]
    for row in result.rows:
        line = [row.case, *(cell(row, name, names[0]) for name in names)]
        lines.append(line + ([f"{row.sgemm / 1e9:.0f}"] if with_sgemm else []))
    return lines


def cell(row: Row, name: str, first: str) -> str:
    if name in row.refused:
        return "refused"
    if name not in row.figures:
        return "-"
    found = row.figures[name].amount
    parts = [amount(found, row.unit)]
    if row.characters:
        parts = [f"{row.characters / found:,.0f} characters/s"]
    if row.flops and row.sgemm:
        parts.append(f"{row.flops / found / 1e9:.0f} GFLOP/s ({fraction(row, name):.2f})")
    if name != first and first in row.figures:
        parts.append(f"{found / row.figures[first].amount:.2f}x")
    return ", ".join(parts)


def amount(value: float, unit: str) -> str:
    """Seconds or bytes with a unit that suits them."""
    if unit == "byte":
        return f"{value / 2**20:.2f} MiB"
    for factor, name in ((1.0, "s"), (1e-3, "ms")):
        if value >= factor:
            return f"{value / factor:.3g} {name}"
    return f"{value * 1e6:.3g} µs"


def verdicts(result: Result) -> Table:
    """Every target beside what was found."""
    lines = [["against", "asked", "found", ""]]
    for target in TARGETS[result.suite]:
        found = target.found(result.rows)
        sign = "at most" if target.at_most else "at least"
        shown = "not measured" if found is None else f"{found:.2f}"
        verdict = "met" if target.met(result.rows) else "" if found is None else "missed"
        lines.append([target.what, f"{sign} {target.bound:g}", shown, verdict])
    return lines


def disturbed(row: Row, best: float) -> bool:
    """Whether something else ran: sgemm was slow, or a contestant's quartiles are far apart."""
    scattered = any(found.high > SCATTER * found.low for found in row.figures.values())
    return scattered or row.sgemm < best / SCATTER


def notes(result: Result) -> Iterator[str]:
    """What has no figure, and why; which figures are doubtful."""
    for name, why in result.absent.items():
        yield f"{name} is absent: {why}"
    for row in result.rows:
        for name, why in row.refused.items():
            yield f"refused, not the reference's result: {row.case}, {name} {why}"
    best = max((row.sgemm for row in result.rows), default=0.0)
    if doubtful := [row.case for row in result.rows if disturbed(row, best)]:
        yield f"disturbed, measure again: {'; '.join(doubtful)}"


def columns(lines: Table) -> str:
    """Aligned for a terminal."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    padded = (
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
    return "\n".join(padded)


def markdown(lines: Table) -> str:
    header, *body = lines
    rows = [header, ["---"] * len(header), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in rows)


def moment(result: Result) -> str:
    """Which commit was measured, and when."""
    tree = " with changes" if result.dirty else ""
    quick = "a quick look that measures nothing, " if result.quick else ""
    return f"{quick}commit {result.commit[:12]}{tree}, {result.date}"


def circumstances(result: Result) -> str:
    """Machine, threads and versions in one line."""
    held = result.machine
    versions = ", ".join(f"{name} {number}" for name, number in result.versions.items())
    return (
        f"{held['cpu']}, {held['cores']} cores, core {held['isa']} "
        f"({' '.join(held['instructions'])}), {held['memory_gib']} GiB, {held['os']}, "
        f"Python {held['python']}; {result.threads} threads; {versions}"
    )
