"""Compares the tables of the cold path as several engines made them, row by row; DuckDB reads them all.

    compare.py REST_URL PREFIX=ERROR…

REST_URL is the catalog. The tables without a prefix are compared with those in the namespaces PREFIXsilver, PREFIXgold and PREFIXdims, of
which PREFIX's engine promises `unique_viewers` within the relative ERROR (one standard error). Ends as the verifiers do.
"""

import sys
from pathlib import Path

import duckdb
import pyarrow as pa
from pyiceberg.catalog import Catalog, load_catalog

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "verify")]
from lake_tables import extension_file  # noqa: E402
from report import finish  # noqa: E402

TABLES = [
    "silver.fact_user_engagement",
    "gold.batch_video_daily",
    "gold.batch_quality_daily",
    "gold.session_health_daily",
    "gold.creator_retention_weekly",
    "gold.rt_batch_reconciliation",
    "dims.rt_rule_quantile_baselines",
]
ESTIMATED = {"gold.batch_video_daily": "unique_viewers"}
"""The column that every engine estimates in its own way."""
MOMENTS_OF_THE_RUN = {"computed_at"}
"""Columns that say when something was computed."""
OWN_ERROR = 0.0081
"""One standard error of DataFusion's estimate."""
STANDARD_ERRORS = 5
"""How far off an estimate may be: none of thousands lies further out by chance."""
SMALL = 3
"""An estimate may be wrong by so many viewers, however few there are."""
SHOWN = 3


def register(session: duckdb.DuckDBPyConnection, catalog: Catalog, name: str) -> list[str]:
    """Makes the table a view of the same name, with dots as underscores; gives its columns."""
    table = catalog.load_table(name)
    view = name.replace(".", "_")
    columns = [field.name for field in table.schema().fields]
    if table.current_snapshot() is None:
        session.register(view, pa.Table.from_pylist([], schema=table.schema().as_arrow()))
    else:
        location = table.metadata_location.removeprefix("file://").replace("'", "''")
        session.execute(f"CREATE VIEW {view} AS SELECT * FROM iceberg_scan('{location}')")
    return columns


def difference(session: duckdb.DuckDBPyConnection, columns: list[str], left: str, right: str) -> list[tuple]:
    """Rows of `left` that `right` does not have, as often as it does not have them."""
    terms = ", ".join(f'"{column}"' for column in columns)
    return session.execute(f"SELECT {terms} FROM {left} EXCEPT ALL SELECT {terms} FROM {right} ORDER BY ALL").fetchall()


def wrong_estimates(session: duckdb.DuckDBPyConnection, view: str, error: float) -> list[tuple]:
    """Rows whose estimate of viewers is too far from the number in silver."""
    return session.execute(
        f"""
        WITH viewers AS (
            SELECT event_timestamp::DATE AS date, video_id, count(DISTINCT user_id) AS exact
            FROM silver_fact_user_engagement WHERE event_type = 'play_start' GROUP BY ALL
        )
        SELECT date, video_id, unique_viewers, coalesce(exact, 0) AS exact
        FROM {view} LEFT JOIN viewers USING (date, video_id)
        WHERE unique_viewers IS NULL OR abs(unique_viewers - coalesce(exact, 0)) > greatest({SMALL}, {STANDARD_ERRORS * error} * coalesce(exact, 0))
        """
    ).fetchall()


def main() -> None:
    url, *promises = sys.argv[1:]
    engines = {prefix: float(error) for prefix, _, error in (promise.partition("=") for promise in promises)}
    catalog = load_catalog("lake", type="rest", uri=url)
    session = duckdb.connect()
    session.execute("SET TimeZone = 'UTC'")
    for extension in ("avro", "iceberg"):
        session.load_extension(extension_file(extension))
    facts: dict[str, object] = {}
    differences = []
    for name in TABLES:
        view = name.replace(".", "_")
        columns = register(session, catalog, name)
        facts[f"rows of {name}"] = session.execute(f"SELECT count(*) FROM {view}").fetchone()[0]
        facts[f"columns of {name}"] = len(columns)
        estimated = ESTIMATED.get(name)
        compared = [column for column in columns if column != estimated and column not in MOMENTS_OF_THE_RUN]
        if estimated:
            for row in wrong_estimates(session, view, OWN_ERROR)[:SHOWN]:
                differences.append(f"{name}: the estimate is too far off: {row}")
        for prefix, error in engines.items():
            theirs = register(session, catalog, prefix + name)
            if sorted(theirs) != sorted(columns):
                differences.append(f"{prefix}{name} has the columns {theirs}, not {columns}")
                continue
            for left, right in ((view, prefix + view), (prefix + view, view)):
                rows = difference(session, compared, left, right)
                facts[f"rows of {left} alone, beside {right}"] = len(rows)
                differences += [f"{left} alone: {dict(zip(compared, row, strict=True))}" for row in rows[:SHOWN]]
            if estimated:
                for row in wrong_estimates(session, prefix + view, error)[:SHOWN]:
                    differences.append(f"{prefix}{name}: the estimate is too far off: {row}")
    finish("engines", facts, differences, as_json=True)


if __name__ == "__main__":
    main()
