"""What dashboards and alerts may ask for: metrics with their kinds and labels, recording rules and alerts, columns of tables. Read in the sources, so
that a metric that is renamed there is missed here.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

COUNTERS = {"Counter", "FractionalCounter"}
PARTS_OF_HISTOGRAMS = ("_bucket", "_sum", "_count")
OF_EVERY_SERIES = {"job", "instance"}
ALERTS_SERIES = "ALERTS"
TYPES = {
    "Utf8": "text",
    "Int32": "int",
    "Int64": "bigint",
    "Float64": "double",
    "Date32": "date",
    "timestamp_type()": "timestamptz",
    "text_list()": "text[]",
}
SHORT_TYPES = {"text": "text", "long": "bigint", "double": "double", "day": "date"}


@dataclass(frozen=True)
class Metric:
    """A metric: whether it only rises, and its labels where they are known."""

    is_counter: bool
    labels: frozenset[str] | None


def of_the_engine() -> dict[str, Metric]:
    """What /metrics has, by series name: names and kinds from the list in crates/telemetry, labels from docs/metrics.md, which is
    made from a rendering of all of them (None while there is no such page)."""
    source = (ROOT / "crates/telemetry/src/metric.rs").read_text()
    labels = documented_labels()
    found = {}
    for name, kind in re.findall(r'=> spec\("(\w+)", (\w+), ', source):
        metric = Metric(kind in COUNTERS or kind == "Histogram", labels.get(name))
        if kind != "Histogram":
            found[name] = metric
            continue
        for part in PARTS_OF_HISTOGRAMS:
            found[name + part] = Metric(True, None if metric.labels is None else metric.labels | {"le"})
    page = (ROOT / "docs/metrics.md").read_text()
    found |= {name: Metric(name.endswith("_total"), frozenset()) for name in re.findall(r"`(process_\w+)`", page)}
    assert len(found) > 80, "the list of metrics in crates/telemetry/src/metric.rs is written in another way than this test reads"
    return found


def documented_labels() -> dict[str, frozenset[str]]:
    page = ROOT / "docs/metrics.md"
    if not page.is_file():
        return {}
    rows = re.findall(r"^\| `(pulselake_\w+)` \| [^|]+ \| ([^|]*) \|", page.read_text(), flags=re.MULTILINE)
    return {name: frozenset(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


def of_batch_jobs() -> dict[str, Metric]:
    """What `pulselake batch` writes for node_exporter's textfile collector: gauges, all of them."""
    folder = ROOT / "query/src/batch"
    sources = "".join(file.read_text() for file in (folder / "reconcile_metrics.rs", folder / "drift/metrics.rs"))
    names = set(re.findall(r'"(pulselake_(?:reconcil|payload)\w+)"', sources))
    assert names, f"no metrics are written in {folder}, or in another way than this test reads"
    return {name: Metric(False, None) for name in names}


def rules(kind: str) -> set[str]:
    """Names of the recording rules ('record') or alerts ('alert') of config/prometheus."""
    files = sorted((ROOT / "config/prometheus/rules").glob("*.yml"))
    return {name for file in files for name in re.findall(rf"^\s*- {kind}: (\S+)$", file.read_text(), flags=re.MULTILINE)}


def of_the_alerts() -> set[str]:
    """Metrics of others that the alerts use too, such as node_exporter's."""
    files = sorted((ROOT / "config/prometheus/rules").glob("*.yml"))
    return {name for file in files for name in re.findall(r"\bnode_\w+", file.read_text())}


def columns(file: str, function: str) -> str:
    """The columns that a function of crates/model names, as CREATE TABLE takes them."""
    source = (ROOT / "crates/model/src" / file).read_text()
    body = source[source.index(f"pub fn {function}() -> SchemaRef") :]
    body = body[: body.index("\n}\n")]
    found = []
    for how, name, rest in re.findall(r'\b(required|optional|text|long|double|day)\("(\w+)"(?:, (?:DataType::)?([\w()]+?))?\),', body):
        found.append(f"{name} {TYPES[rest] if rest else SHORT_TYPES[how]}")
    assert found, f"{function} of {file} is written in another way than this test reads"
    return ", ".join(found)
