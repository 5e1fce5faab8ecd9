"""The comparison as a table in Markdown. Pure."""

from collections.abc import Callable

Row = tuple[str, Callable[[dict], object]]
"""Its name, and how to get its cell from an engine's figures."""

DRAIN_ROWS: list[Row] = [
    ("CPU s per million events", lambda f: f["cpu_s_per_million"]),
    ("… the second drain of the same process", lambda f: f.get("warm_cpu_s_per_million")),
    ("… start and end included", lambda f: f["cpu_s_per_million_start_included"]),
    ("CPU s to start and end", lambda f: f["start_cpu_s"]),
    ("s to start and end", lambda f: f["start_s"]),
    ("events/s", lambda f: f["events_per_s"]),
    ("… the second drain of the same process", lambda f: f.get("warm_events_per_s")),
    ("… start and end included", lambda f: f["events_per_s_start_included"]),
    ("peak resident memory, MiB", lambda f: f["peak_resident_mib"]),
    ("broker's CPU s per million events", lambda f: f["broker_cpu_s_per_million"]),
    ("CPU s of other programs meanwhile", lambda f: f["other_cpu_s"]),
]

LIVE_ROWS: list[Row] = [
    ("event to bronze, P50 s", lambda f: f["bronze"]["p50_s"]),
    ("event to bronze, P95 s", lambda f: f["bronze"]["p95_s"]),
    ("event to bronze, most s", lambda f: f["bronze"]["most_s"]),
    ("window's end to gold, P50 s", lambda f: f["gold"]["p50_s"]),
    ("window's end to gold, P95 s", lambda f: f["gold"]["p95_s"]),
    ("window's end to gold, most s", lambda f: f["gold"]["most_s"]),
    ("share of a core", lambda f: f["cpu_share_of_a_core"]),
    ("CPU s per million events", lambda f: f["cpu_s_per_million"]),
    ("CPU s to start", lambda f: f["start_cpu_s"]),
    ("s to start", lambda f: f["start_s"]),
    ("peak resident memory, MiB", lambda f: f["peak_resident_mib"]),
    ("CPU s of other programs meanwhile", lambda f: f["other_cpu_s"]),
]

FILE_ROWS: list[Row] = [
    ("bronze: data files", lambda f: f["files"]["bronze.raw_events"]["data_files"]),
    ("bronze: MiB", lambda f: f["files"]["bronze.raw_events"]["mib"]),
    ("bronze: commits", lambda f: f["files"]["bronze.raw_events"]["commits"]),
    ("gold: data files", lambda f: f["files"]["gold.rt_video_stats_1min"]["data_files"]),
    ("gold: commits", lambda f: f["files"]["gold.rt_video_stats_1min"]["commits"]),
]


def verdict(engine: dict) -> str:
    """The last row: whether the tables are right."""
    if "error" in engine:
        return "failed"
    return "yes" if not engine["differences"] else f"no: {len(engine['differences'])} differences"


def cell(engine: dict, get: Callable[[dict], object]) -> str:
    """One figure; a dash where there is none."""
    if "figures" not in engine:
        return "–"
    value = get(engine["figures"])
    return "–" if value is None else f"{value:,}"


def markdown(comparison: dict) -> str:
    """The whole table, with a line above it that says what was measured."""
    engines = comparison["engines"]
    rows = [*(LIVE_ROWS if comparison["form"] == "live" else DRAIN_ROWS), *FILE_ROWS]
    lines = [
        comparison["title"],
        "",
        "| | " + " | ".join(engine["version"] for engine in engines.values()) + " |",
        "|---|" + "---:|" * len(engines),
    ]
    for name, get in rows:
        lines.append(f"| {name} | " + " | ".join(cell(engine, get) for engine in engines.values()) + " |")
    verdicts = " | ".join(verdict(engine) for engine in engines.values())
    lines.append(f"| tables equal the topic's recount | {verdicts} |")
    problems = []
    for name, engine in engines.items():
        said = [engine["error"]] if "error" in engine else engine["differences"]
        problems += [f"- {name}: {sentence}" for sentence in said]
    return "\n".join([*lines, *([""] if problems else []), *problems]) + "\n"
