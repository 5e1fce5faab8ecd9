"""tests/verify/topic_recount.py on tables that are in another catalog than a data directory's; takes the same arguments.

PULSELAKE_TEST_PLACE is a JSON object: the catalog's name, and PyIceberg's properties for it (they hold secrets, which
have no business in a command line). Beside the recount, DuckDB's own reader must give what PyIceberg read.
"""

import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "verify"))

import duckdb
import topic_recount
from lake_tables import BRONZE, GOLD, HOT_TABLES, QUARANTINE, extension_file, read_with_pyiceberg, view_name
from naive import gold_sums
from pyiceberg.catalog import load_catalog
from pyiceberg.table import Table


def duckdb_session(tables: dict[str, Table]) -> duckdb.DuckDBPyConnection:
    """DuckDB's Iceberg extension on the tables' metadata files."""
    connection = duckdb.connect()
    for extension in ("avro", "httpfs", "iceberg"):
        connection.load_extension(extension_file(extension))
    for name, table in tables.items():
        # What came with the table from a REST catalog is in here too.
        store = table.io.properties
        if "s3.access-key-id" in store:
            connection.execute(
                "CREATE OR REPLACE SECRET store (TYPE s3, KEY_ID $key, SECRET $secret, REGION 'us-east-1',"
                " ENDPOINT $endpoint, URL_STYLE 'path', USE_SSL false)",
                {
                    "key": store["s3.access-key-id"],
                    "secret": store["s3.secret-access-key"],
                    "endpoint": urlsplit(store["s3.endpoint"]).netloc,
                },
            )
        location = table.metadata_location.removeprefix("file://").replace("'", "''")
        connection.execute(f"CREATE VIEW {view_name(name)} AS SELECT * FROM iceberg_scan('{location}')")
    return connection


def compare_readers(tables: dict[str, Table]) -> tuple[dict[str, object], list[str]]:
    """What DuckDB counted, and where PyIceberg differs."""
    by_duckdb, by_pyiceberg = duckdb_session(tables), read_with_pyiceberg(tables)
    found = []
    rows = 0
    for name in (BRONZE, QUARANTINE):
        question = (
            "SELECT source_partition, count(*), count(DISTINCT source_offset), sum(source_offset)"
            f" FROM {view_name(name)} GROUP BY ALL ORDER BY ALL"
        )
        answers = [session.execute(question).fetchall() for session in (by_duckdb, by_pyiceberg)]
        rows += sum(answer[1] for answer in answers[0])
        if answers[0] != answers[1]:
            found.append(f"{name}: DuckDB reads {answers[0]}, PyIceberg {answers[1]}")
    if gold_sums(by_duckdb) != gold_sums(by_pyiceberg):
        found.append(f"{GOLD}: DuckDB and PyIceberg read other sums")
    return {"rows that DuckDB read": rows}, found


def main() -> None:
    place = json.loads(os.environ["PULSELAKE_TEST_PLACE"])
    catalog = load_catalog(place["name"], **place["properties"])
    tables = {name: catalog.load_table(name) for name in HOT_TABLES}
    finish = topic_recount.finish

    def finish_with_both(name: str, facts: dict[str, object], differences: list[str], as_json: bool) -> None:
        more_facts, more_differences = compare_readers(tables)
        finish(name, facts | more_facts, differences + more_differences, as_json)

    # The recount is the same wherever the tables are: only where it finds them is another place.
    topic_recount.load_hot_tables = lambda _data_dir: tables
    topic_recount.finish = finish_with_both
    topic_recount.main()


if __name__ == "__main__":
    main()
