"""Figures from measurements: medians, the slope between two sizes, shares of latencies. Pure."""

from dataclasses import asdict, dataclass
from statistics import median


@dataclass(frozen=True)
class Drain:
    """One drain of a topic by one engine."""

    events: int
    seconds: float
    """From the start of the process to its end, or to the end of its first drain."""
    cpu_s: float
    peak_resident_bytes: int
    broker_cpu_s: float
    other_cpu_s: float
    """CPU seconds of everything else on the machine: neighbours, and this comparison itself."""
    warm_seconds: float | None = None
    """A second drain in the same process, where the engine warms up."""
    warm_cpu_s: float | None = None
    files: dict | None = None
    """Per table: data files, their rows and bytes, commits."""


def drain_figures(small: list[Drain], large: list[Drain]) -> dict:
    """What the drains of both sizes say together: start-up is what is left when the slope is taken out.

    `small` and `large` hold the runs of one size each, at least one.
    """
    middle = {size: _medians(runs) for size, runs in (("small", small), ("large", large))}
    low, high = middle["small"], middle["large"]
    step = high["events"] - low["events"]
    cpu_slope = (high["cpu_s"] - low["cpu_s"]) / step
    time_slope = (high["seconds"] - low["seconds"]) / step
    figures = {
        "cpu_s_per_million": round(cpu_slope * 1e6, 2),
        "start_cpu_s": round(low["cpu_s"] - cpu_slope * low["events"], 2),
        "events_per_s": round(1 / time_slope) if time_slope > 0 else None,
        "start_s": round(low["seconds"] - time_slope * low["events"], 2),
        "cpu_s_per_million_start_included": round(high["cpu_s"] / high["events"] * 1e6, 2),
        "events_per_s_start_included": round(high["events"] / high["seconds"]),
        "peak_resident_mib": mebibytes(high["peak_resident_bytes"]),
        "broker_cpu_s_per_million": round(high["broker_cpu_s"] / high["events"] * 1e6, 2),
        "other_cpu_s": round(high["other_cpu_s"], 1),
    }
    warm = [run for run in large if run.warm_cpu_s is not None]
    if warm:
        events = warm[0].events
        figures["warm_cpu_s_per_million"] = round(median(run.warm_cpu_s for run in warm) / events * 1e6, 2)
        figures["warm_events_per_s"] = round(events / median(run.warm_seconds for run in warm))
    figures["files"] = large[-1].files
    figures["runs"] = [asdict(run) for run in (*small, *large)]
    return figures


def _medians(runs: list[Drain]) -> dict[str, float]:
    names = ("events", "seconds", "cpu_s", "peak_resident_bytes", "broker_cpu_s", "other_cpu_s")
    return {name: median(getattr(run, name) for run in runs) for name in names}


def mebibytes(size_bytes: float) -> int:
    """Whole MiB."""
    return round(size_bytes / 2**20)
