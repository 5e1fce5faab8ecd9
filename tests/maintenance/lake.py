"""The lake as programs see it that are not Pulselake: what they read of it, and what they write into it.

    lake.py sums DATA_DIR [TABLE=SNAPSHOT…] sums over the rows of all tables now, or of these at these snapshots, by PyIceberg
                                            and by DuckDB, and the snapshots [[id, operation], …], oldest first
    lake.py replacements DATA_DIR           compares each snapshot that only replaces files with its parent
    lake.py append DATA_DIR COUNT           appends rows of another source to bronze
    lake.py foreign DATA_DIR                how many of those there are
    lake.py delete DATA_DIR                 deletes them
    lake.py let-leases-run-out DATA_DIR     lets the leases of dead maintainers run out
    lake.py someone DATA_DIR                users with events in bronze who are mentioned in quarantine too
    lake.py mentions DATA_DIR WORD          files of the warehouse, whoever needs them, that hold the word

Prints one JSON value.
"""

import io
import json
import re
import sys
import uuid
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.parquet as parquet
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import FileScanTask, Table
from sqlalchemy.exc import OperationalError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "verify"))
from lake_tables import BRONZE, GOLD, HOT_TABLES, QUARANTINE, extension_file, load_hot_tables, open_catalog  # noqa: E402

FOREIGN_TOPIC = "somebody_else"
LEASE = "pulselake.maintenance-lease"
CONFLICTS = 50
"""Commits of the engine that a change of ours may lose against."""
NEWEST = 12
"""Replacements of each table that are compared: the newest."""

SUMS = {
    BRONZE: """SELECT count(*), count(DISTINCT (source_partition, source_offset)), sum(source_offset),
        sum(length(payload_json)), bit_xor(hash(event_id, video_id, user_id, event_type)) FROM rows""",
    QUARANTINE: """SELECT count(*), count(DISTINCT (source_partition, source_offset)), sum(source_offset),
        sum(octet_length(raw_value)), bit_xor(hash(invalid_event_id, error_code)) FROM rows""",
    GOLD: """SELECT count(DISTINCT (video_id, window_start, source_partition)), sum(impressions), sum(play_start),
        sum(play_finish), sum(likes), sum(shares), sum(skips), sum(watch_time_sum_ms), max(revision) FROM rows""",
}
"""What no rewrite changes. Gold's revisions of a window may become one row."""


def by_pyiceberg(table: Table, snapshot_id: int | None = None) -> list[object]:
    """The sums over what PyIceberg reads."""
    connection = duckdb.connect()
    connection.register("rows", table.scan(snapshot_id=snapshot_id).to_arrow())
    return sums(connection, table)


def by_duckdb(table: Table, snapshot_id: int | None = None) -> list[object]:
    """The sums over what DuckDB's own extension reads."""
    connection = duckdb.connect()
    for extension in ("avro", "iceberg"):
        connection.load_extension(extension_file(extension))
    location = table.metadata_location.removeprefix("file://").replace("'", "''")
    at = f", snapshot_from_id = {snapshot_id}" if snapshot_id is not None else ""
    connection.execute(f"CREATE VIEW rows AS SELECT * FROM iceberg_scan('{location}'{at})")
    return sums(connection, table)


def sums(connection: duckdb.DuckDBPyConnection, table: Table) -> list[object]:
    row = connection.execute(SUMS[".".join(table.name())]).fetchone()
    return [None if value is None else int(value) for value in row]


def read_sums(data_dir: Path, *snapshots: str) -> dict[str, object]:
    tables = load_hot_tables(data_dir)
    wanted = dict(pair.split("=") for pair in snapshots) or dict.fromkeys(tables)
    at = {name: None if snapshot is None else int(snapshot) for name, snapshot in wanted.items()}
    return {
        "pyiceberg": {name: by_pyiceberg(tables[name], snapshot) for name, snapshot in at.items()},
        "duckdb": {name: by_duckdb(tables[name], snapshot) for name, snapshot in at.items()},
        "snapshots": {name: history(table) for name, table in tables.items()},
    }


def history(table: Table) -> list[list[str]]:
    """As text: some programs read numbers of JSON as floats."""
    by_age = sorted(table.metadata.snapshots, key=lambda found: found.sequence_number)
    return [[str(found.snapshot_id), found.summary.operation.value] for found in by_age]


def replacements(data_dir: Path) -> dict[str, object]:
    """How many were compared, and those whose rows are not their parent's."""
    compared: Counter[str] = Counter()
    differing = []
    for name, table in load_hot_tables(data_dir).items():
        known = {found.snapshot_id for found in table.metadata.snapshots}
        replacing = [
            found
            for found in table.metadata.snapshots
            if found.summary.operation.value == "replace" and found.parent_snapshot_id in known
            if int(found.summary.additional_properties.get("deleted-data-files", 0)) > 0
        ]
        for found in sorted(replacing, key=lambda one: one.sequence_number)[-NEWEST:]:
            compared[name] += 1
            before, after = (by_pyiceberg(table, at) for at in (found.parent_snapshot_id, found.snapshot_id))
            if before != after:
                differing.append([name, found.snapshot_id, before, after])
    return {"compared": dict(compared), "differing": differing}


def again_when_another_was_faster(change: Callable[[], object]) -> object:
    for _ in range(CONFLICTS):
        try:
            return change()
        except (CommitFailedException, OperationalError):
            continue
    sys.exit(f"another commit was faster {CONFLICTS} times")


def written(table: Table, task: FileScanTask, rows: pa.Table) -> DataFile:
    """A new data file beside the one of a task, with these rows of its partition."""
    path = task.file.file_path.removeprefix("file://").rsplit("/", 1)[0] + f"/foreign-{uuid.uuid4()}.parquet"
    parquet.write_table(rows.cast(table.schema().as_arrow()), path)
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=f"file://{path}",
        file_format=FileFormat.PARQUET,
        partition=task.file.partition,
        record_count=rows.num_rows,
        file_size_in_bytes=Path(path).stat().st_size,
    )


def rows_of(task: FileScanTask) -> pa.Table:
    return parquet.ParquetFile(task.file.file_path.removeprefix("file://")).read()


def append(data_dir: Path, count: str) -> int:
    """Rows like those of one of bronze's files, from a topic that no engine reads."""

    def change() -> int:
        bronze = open_catalog(data_dir).load_table(BRONZE)
        task = next(iter(bronze.scan().plan_files()))
        rows = rows_of(task).slice(0, int(count))
        place = rows.schema.get_field_index("source_topic")
        topics = pa.array([FOREIGN_TOPIC] * rows.num_rows, rows.schema.field(place).type)
        added = written(bronze, task, rows.set_column(place, rows.schema.field(place), topics))
        with bronze.transaction() as transaction, transaction.update_snapshot().fast_append() as snapshot:
            snapshot.append_data_file(added)
        return rows.num_rows

    return again_when_another_was_faster(change)


def foreign(data_dir: Path) -> int:
    table = open_catalog(data_dir).load_table(BRONZE)
    return table.scan(f"source_topic == '{FOREIGN_TOPIC}'", selected_fields=("source_topic",)).to_arrow().num_rows


def delete(data_dir: Path) -> None:
    """Writes the files with such rows anew, without them."""

    def change() -> None:
        bronze = open_catalog(data_dir).load_table(BRONZE)
        with bronze.transaction() as transaction, transaction.update_snapshot().overwrite() as snapshot:
            for task in bronze.scan().plan_files():
                rows = rows_of(task)
                kept = rows.filter(compute.not_equal(rows["source_topic"].cast(pa.string()), FOREIGN_TOPIC))
                if kept.num_rows == rows.num_rows:
                    continue
                snapshot.delete_data_file(task.file)
                if kept.num_rows:
                    snapshot.append_data_file(written(bronze, task, kept))

    again_when_another_was_faster(change)


def let_leases_run_out(data_dir: Path) -> None:
    """Dates back the leases of maintainers that died."""
    for table in load_hot_tables(data_dir).values():
        if (text := table.properties.get(LEASE)) is not None:
            lease = json.dumps(json.loads(text) | {"expires_at_ms": 1})
            with table.transaction() as transaction:
                transaction.set_properties({LEASE: lease})


def someone(data_dir: Path) -> dict[str, object]:
    """Users with events in bronze, those that are in quarantine too first; with how many rows each has in both."""
    tables = load_hot_tables(data_dir)
    users = Counter(tables[BRONZE].scan(selected_fields=("user_id",)).to_arrow()["user_id"].to_pylist())
    values = tables[QUARANTINE].scan(selected_fields=("raw_value",)).to_arrow()["raw_value"].to_pylist()
    mentioned: Counter[str] = Counter()
    for value in values:
        mentioned.update(user.decode() for user in set(re.findall(rb'"(u_[0-9]+)"', value or b"")))
    both = sorted(users.keys() & mentioned.keys(), key=lambda user: -users[user])
    return {"users": [[user, users[user], mentioned[user]] for user in both]}


def mentions(data_dir: Path, word: str) -> dict[str, object]:
    """What lies on the disk: cells of Parquet files, blocks of Avro files, and all files as they are."""
    pattern = re.compile(rb"(?<![0-9A-Za-z])" + re.escape(word.encode()) + rb"(?![0-9])")
    found, searched = [], Counter()
    for path in sorted((data_dir / "warehouse").rglob("*")):
        if not path.is_file():
            continue
        searched[path.suffix] += 1
        if any(pattern.search(text) for text in texts(path)):
            found.append(path.name)
    return {"files": found, "searched": dict(searched)}


def texts(path: Path) -> Iterator[bytes]:
    content = path.read_bytes()
    yield content
    if path.suffix == ".avro":
        yield from avro_blocks(content)
    if path.suffix == ".parquet":
        for column in parquet.ParquetFile(path).read().columns:
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                yield "\0".join(value or "" for value in column.to_pylist()).encode()
            if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
                yield b"\0".join(value or b"" for value in column.to_pylist())


def avro_blocks(content: bytes) -> Iterator[bytes]:
    """The blocks of an Avro container, unpacked."""
    stream = io.BytesIO(content)

    def number() -> int:
        value = shift = 0
        while True:
            byte = stream.read(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)

    def text() -> bytes:
        return stream.read(number())

    assert stream.read(4) == b"Obj\1"
    header = {}
    while (count := number()) != 0:
        if count < 0:
            count = -count
            number()
        for _ in range(count):
            key = text()
            header[key] = text()
    codec = header.get(b"avro.codec", b"null")
    unpack = {b"null": lambda block: block, b"deflate": lambda block: zlib.decompress(block, -15)}[codec]
    stream.read(16)
    while stream.tell() < len(content):
        number()
        yield unpack(text())
        stream.read(16)


def main() -> None:
    action, data_dir, *words = sys.argv[1:]
    directory = Path(data_dir).resolve()
    actions: dict[str, Callable[..., object]] = {
        "sums": read_sums,
        "replacements": replacements,
        "append": append,
        "foreign": foreign,
        "delete": delete,
        "let-leases-run-out": let_leases_run_out,
        "someone": someone,
        "mentions": mentions,
    }
    if action not in actions:
        sys.exit(__doc__)
    print(json.dumps(actions[action](directory, *words)))


if __name__ == "__main__":
    main()
