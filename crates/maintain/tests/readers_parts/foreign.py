"""DuckDB and PyIceberg on tables of a REST catalog that everybody may use, with local files.

    foreign.py read URL NAMESPACE.TABLE…       for each one line of JSON: {"table", "duckdb": [row…], "pyiceberg": [row…] or null}
    foreign.py append URL NAMESPACE.TABLE ROW  PyIceberg appends a row
A row is text: cells by '|', NULL for none. null instead of rows: PyIceberg refuses equality deletes.
"""

import json
import sys
from datetime import date

import duckdb
import pyarrow as pa
from lake_tables import extension_file
from pyiceberg.catalog import load_catalog
from pyiceberg.table import Table


def text(cell: object) -> str:
    return "NULL" if cell is None else str(cell)


def rows_by_duckdb(table: Table) -> list[str]:
    connection = duckdb.connect()
    for extension in ("avro", "iceberg"):
        connection.load_extension(extension_file(extension))
    location = table.metadata_location.removeprefix("file://").replace("'", "''")
    columns = ", ".join(field.name for field in table.schema().fields)
    rows = connection.execute(f"SELECT {columns} FROM iceberg_scan('{location}')").fetchall()
    return ["|".join(map(text, row)) for row in rows]


def rows_by_pyiceberg(table: Table) -> list[str] | None:
    try:
        rows = table.scan().to_arrow()
    except ValueError as error:
        if "equality deletes" not in str(error):
            raise
        return None
    return ["|".join(map(text, row.values())) for row in rows.to_pylist()]


def append(table: Table, row: str) -> None:
    id_, part, name, number, day = (None if cell == "NULL" else cell for cell in row.split("|"))
    cells = {
        "id": int(id_),
        "part": part,
        "name": name,
        "n": None if number is None else int(number),
        "day": date.fromisoformat(day),
    }
    table.append(pa.Table.from_pylist([cells], schema=table.schema().as_arrow()))


def main() -> None:
    command, url, *arguments = sys.argv[1:]
    catalog = load_catalog("foreign", type="rest", uri=url)
    if command == "append":
        name, row = arguments
        append(catalog.load_table(name), row)
        return
    for name in arguments:
        table = catalog.load_table(name)
        read = {"table": name, "duckdb": rows_by_duckdb(table), "pyiceberg": rows_by_pyiceberg(table)}
        print(json.dumps(read))


if __name__ == "__main__":
    main()
