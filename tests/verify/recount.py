"""Recounts bronze naively and compares the result with SUM over gold, per video, minute and event type.

    recount.py --data-dir ./pulselake-data [--truth events.ndjson.gz]

Bronze and quarantine together must hold no source position twice. With --truth, the events of that file are counted too, and both bronze and gold must agree with it.
Exits with 1 and names each difference.
"""

import argparse
import gzip
import json
from pathlib import Path

import pyarrow as pa
from pyiceberg.table import Table

from event_time import time_us
from lake_tables import BRONZE, GOLD, QUARANTINE, load_hot_tables, read_with_pyiceberg
from naive import Recount, compare, gold_sums
from report import finish

COLUMNS = ("source_partition", "source_offset", "event_id", "video_id", "event_timestamp", "event_type", "payload_json")


def recount_bronze(bronze: Table) -> tuple[Recount, int]:
    """Counts bronze in the order of its source; also the number of its rows."""
    rows = bronze.scan(selected_fields=COLUMNS).to_arrow()
    rows = rows.sort_by([("source_partition", "ascending"), ("source_offset", "ascending")])
    recount = Recount()
    for batch in rows.to_batches(max_chunksize=65_536):
        times_us = batch.column("event_timestamp").cast(pa.int64()).to_pylist()
        for partition, event_id, video_id, moment_us, kind, body in zip(
            batch.column("source_partition").to_pylist(),
            batch.column("event_id").to_pylist(),
            batch.column("video_id").to_pylist(),
            times_us,
            batch.column("event_type").to_pylist(),
            batch.column("payload_json").to_pylist(),
        ):
            recount.add(partition, event_id, video_id, moment_us, kind, body)
    return recount, rows.num_rows


def count_positions(tables: dict[str, Table]) -> tuple[int, int]:
    """Rows of bronze and quarantine, and source positions among them."""
    position = ("source_topic", "source_partition", "source_offset")
    scanned = (tables[name].scan(selected_fields=position).to_arrow() for name in (BRONZE, QUARANTINE))
    # A table without rows comes with other string types than one that was read from files.
    rows = pa.concat_tables(scanned, promote_options="permissive")
    return rows.num_rows, rows.group_by(list(position)).aggregate([]).num_rows


def recount_file(path: Path) -> Recount:
    """Counts the events of a file, one JSON object a line."""
    opener = gzip.open if path.suffix == ".gz" else open
    recount = Recount()
    with opener(path, "rb") as lines:
        for line in lines:
            event = json.loads(line)
            body = event["payload_json"] if "payload_json" in event else json.dumps(event.get("payload", {}))
            moment_us = time_us(event["event_timestamp"])
            recount.add(0, event["event_id"], event["video_id"], moment_us, event["event_type"], body)
    return recount


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--truth", type=Path, help="the events that went in, as NDJSON (.gz is unpacked)")
    parser.add_argument(
        "--duplicates", type=int, help="how many bronze rows must repeat an event_id (default: any number)"
    )
    parser.add_argument(
        "--dropped", type=int, default=0, help="events that must be absent from gold: beyond the allowed lateness"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()

    tables = load_hot_tables(arguments.data_dir)
    bronze, bronze_rows = recount_bronze(tables[BRONZE])
    gold = gold_sums(read_with_pyiceberg({GOLD: tables[GOLD]}))

    found = compare(bronze.counts, gold, "bronze", "gold", arguments.dropped)
    if arguments.duplicates is not None and bronze.duplicates != arguments.duplicates:
        found.append(f"bronze holds {bronze.duplicates} rows that repeat an event_id, expected {arguments.duplicates}")
    if arguments.truth:
        found += compare(recount_file(arguments.truth).counts, bronze.counts, arguments.truth.name, "bronze")
    records, positions = count_positions(tables)
    if records != positions:
        found.append(f"bronze and quarantine hold {records} rows for {positions} source positions")
    facts = {
        "records": records,
        "bronze rows": bronze_rows,
        "bronze rows that repeat an event_id": bronze.duplicates,
        "counts compared": len(bronze.counts.keys() | gold.keys()),
    }
    finish("recount", facts, found, arguments.json)


if __name__ == "__main__":
    main()
