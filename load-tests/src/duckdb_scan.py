"""Reads every column of a table's every row with DuckDB, by its metadata file (the first argument).

Prints one line of JSON: rows, wall_s, cpu_s. The time of loading the extensions is not in it.
"""

import json
import sys
import time

import duckdb
from lake_tables import extension_file

connection = duckdb.connect()
for extension in ("avro", "iceberg"):
    connection.load_extension(extension_file(extension))
location = sys.argv[1].removeprefix("file://").replace("'", "''")
started, cpu_before_s = time.monotonic(), time.process_time()
# A hash over the row: nothing of it can be answered from counts and bounds in the metadata.
query = f"SELECT count(*), bit_xor(hash(row)) FROM iceberg_scan('{location}') AS row"
rows, _ = connection.execute(query).fetchone()
wall_s, cpu_s = time.monotonic() - started, time.process_time() - cpu_before_s
print(json.dumps({"rows": rows, "wall_s": round(wall_s, 3), "cpu_s": round(cpu_s, 2)}))
