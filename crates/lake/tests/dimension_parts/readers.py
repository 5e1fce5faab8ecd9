"""DuckDB and PyIceberg on one table, by its metadata file.

    readers.py METADATA COLUMN…    one line of JSON: {"duckdb": [row…], "pyiceberg": [row…] or null}
A row is text: cells by '|', NULL for none. null instead of rows: PyIceberg refuses equality deletes.
"""

import json
import sys

import duckdb
from lake_tables import extension_file
from pyiceberg.table import StaticTable


def text(cell: object) -> str:
    match cell:
        case None:
            return "NULL"
        case bool():
            return str(cell).lower()
        case list():
            return "[" + ", ".join(map(text, cell)) + "]"
    return str(cell)


def rows_by_duckdb(metadata: str, columns: list[str]) -> list[str]:
    connection = duckdb.connect()
    for extension in ("avro", "iceberg"):
        connection.load_extension(extension_file(extension))
    location = metadata.removeprefix("file://").replace("'", "''")
    rows = connection.execute(f"SELECT {', '.join(columns)} FROM iceberg_scan('{location}')").fetchall()
    return ["|".join(map(text, row)) for row in rows]


def rows_by_pyiceberg(metadata: str, columns: list[str]) -> list[str] | None:
    scan = StaticTable.from_metadata(metadata).scan(selected_fields=tuple(columns))
    try:
        rows = scan.to_arrow().to_pylist()
    except ValueError as error:
        if "equality deletes" not in str(error):
            raise
        return None
    return ["|".join(text(row[column]) for column in columns) for row in rows]


def main() -> None:
    metadata, *columns = sys.argv[1:]
    read = {"duckdb": rows_by_duckdb(metadata, columns), "pyiceberg": rows_by_pyiceberg(metadata, columns)}
    print(json.dumps(read))


if __name__ == "__main__":
    main()
