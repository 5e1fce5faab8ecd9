"""What a reader sees of the cold path's tables: how many rows of each day, and a checksum of them.

    states.py DATA_DIR

Prints {table: {day: "rows checksum"}}. Left out of the checksum is what may change: when something was computed, who came back
on the next day, and columns that silver has gained.
"""

import json
import sys
from pathlib import Path

from pyiceberg.exceptions import NoSuchTableError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "verify"))
from cold_silver import COLUMNS  # noqa: E402
from lake_tables import open_catalog, read_with_duckdb  # noqa: E402

TABLES = {
    "silver.fact_user_engagement": ("CAST(event_timestamp AS DATE)", ", ".join(COLUMNS)),
    "gold.batch_video_daily": ("date", "* EXCLUDE retention_d1"),
    "gold.batch_quality_daily": ("date", "*"),
    "gold.session_health_daily": ("date", "*"),
    "gold.creator_retention_weekly": ("date", "*"),
    "gold.rt_batch_reconciliation": ("date", "* EXCLUDE computed_at"),
    "dims.rt_rule_quantile_baselines": ("effective_from", "* EXCLUDE computed_at"),
}
"""Table -> the day of a row, and what goes into the checksum."""


def main() -> None:
    catalog = open_catalog(Path(sys.argv[1]))
    found = {}
    for name, (day, columns) in TABLES.items():
        try:
            session = read_with_duckdb({name: catalog.load_table(name)})
        except NoSuchTableError:
            continue
        session.execute("SET TimeZone = 'UTC'")
        rows = session.execute(
            f"WITH content AS (SELECT {columns}, {day} AS day_of_row FROM {name.split('.')[1]})"
            " SELECT day_of_row::VARCHAR, count(*) || ' ' || sum(hash(content)) FROM content GROUP BY day_of_row"
        ).fetchall()
        found[name] = dict(rows)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
