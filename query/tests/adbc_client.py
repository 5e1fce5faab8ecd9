"""What an ADBC client of Flight SQL sees: `adbc_client.py grpc://HOST:PORT TOKEN` prints one JSON object."""

import json
import sys
import warnings

import adbc_driver_flightsql.dbapi as flight
from adbc_driver_flightsql import DatabaseOptions

ENDLESS = "SELECT count(*) FROM generate_series(1, 1000000000000000)"


def rows(cursor, sql: str) -> list:
    cursor.execute(sql)
    return [list(row) for row in cursor.fetchall()]


def refusal(work) -> str:
    try:
        work()
    except Exception as error:  # Every kind is an answer here.
        return str(error)
    return "was not refused"


def tables_of(connection) -> list:
    found = []
    for catalog in connection.adbc_get_objects(depth="tables").read_all().to_pylist():
        for schema in catalog["catalog_db_schemas"]:
            for table in schema["db_schema_tables"]:
                names = (catalog["catalog_name"], schema["db_schema_name"], table["table_name"])
                found.append([*names, table["table_type"]])
    return found


def look(connection) -> dict:
    cursor = connection.cursor()
    said = {"count": rows(cursor, "SELECT count(*) FROM t.days")}
    cursor.execute("SELECT * FROM t.days")
    said["rows"] = cursor.fetch_arrow_table().num_rows
    moment = rows(cursor, "SELECT at, video_id FROM t.days WHERE at = TIMESTAMP '2026-02-08 00:00:00'")
    said["sum"] = [[at.isoformat(), video] for at, video in moment]
    said["prepared_twice"] = [rows(cursor, "SELECT 1")[0][0] for _ in range(2)]
    said["tables"] = tables_of(connection)
    said["columns"] = connection.adbc_get_table_schema("evolved", db_schema_filter="t").names
    said["vendor"] = connection.adbc_get_info()["vendor_name"]
    said["refused"] = {
        "bad": refusal(lambda: rows(cursor, "SELECT nope FROM t.days")),
        "write": refusal(lambda: rows(cursor, "DROP TABLE t.days")),
        "update": refusal(lambda: cursor.adbc_statement.set_sql_query("DELETE FROM t.days") or cursor.adbc_statement.execute_update()),
        "endless": refusal(lambda: rows(cursor, ENDLESS)),
    }
    cursor.close()
    return said


def main() -> None:
    address, token = sys.argv[1:]
    warnings.simplefilter("ignore")
    options = {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {token}"}
    try:
        with flight.connect(address, db_kwargs=options) as connection:
            said = look(connection)
    except Exception as error:
        said = {"refused": {"all": str(error)}}
    json.dump(said, sys.stdout)


main()
