"""Rows of statements by DuckDB: `duckdb_rows.py NAME=METADATA … -- SQL …` prints a JSON list of lists of texts.

A row's values are joined by `|`, NULL is `NULL`, moments are RFC 3339 in UTC: as Arrow's formatter writes them.
"""

import datetime
import json
import sys

import duckdb
from lake_tables import extension_file


def text(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, datetime.datetime):
        plain = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        return plain.isoformat() + "Z"
    return str(value)


def rows(session: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    # By way of Arrow: DuckDB's own way from moments to Python asks for pytz.
    table = session.execute(sql).fetch_arrow_table()
    columns = [table.column(place).to_pylist() for place in range(table.num_columns)]
    return ["|".join(text(value) for value in row) for row in zip(*columns)]


def main() -> None:
    border = sys.argv.index("--")
    session = duckdb.connect()
    for name in ("avro", "iceberg"):
        session.load_extension(extension_file(name))
    session.execute("SET TimeZone = 'UTC'")
    for table in sys.argv[1:border]:
        name, metadata = table.split("=", 1)
        session.execute(f"CREATE VIEW {name} AS SELECT * FROM iceberg_scan('{metadata.removeprefix('file://')}')")
    answers = [rows(session, sql) for sql in sys.argv[border + 1 :]]
    json.dump(answers, sys.stdout)


main()
