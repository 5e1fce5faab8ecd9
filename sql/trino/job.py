"""The cold path on Trino: each day of each table is replaced in one commit, as `pulselake batch run` does it.

    PYTHONPATH=sql python3 sql/trino/job.py --server https://trino:8443 --user batch --password-env TRINO_PASSWORD --date 2026-02-07

Trino has no INSERT OVERWRITE for Iceberg, and DELETE with INSERT behind it is two commits: a reader between them sees an empty day. A
day that has no rows yet is a plain INSERT; one that has some is a MERGE that deletes them and inserts the new ones. That writes
delete files, which `pulselake maintain` (or ALTER TABLE … EXECUTE optimize) applies. One line of JSON for each statement says what it
wrote.
"""

import argparse
import os
from functools import partial

from client import Trino, TrinoError
from rendered import Statement, add_arguments, days_of, run_days

TRIES = 3
"""Of a statement whose table others commit to."""
CONFLICTS = {"ICEBERG_COMMIT_ERROR", "TRANSACTION_CONFLICT"}


def make_target(trino: Trino, statement: Statement, original: str) -> None:
    """Makes the table for a comparison, with the columns of the one that it stands beside."""
    trino.run(f"CREATE SCHEMA IF NOT EXISTS {statement.target.rpartition('.')[0]}")
    properties = f"WITH (partitioning = ARRAY['{statement.partition}'])" if statement.partition else ""
    trino.run(f"CREATE TABLE IF NOT EXISTS {statement.target} {properties} AS SELECT * FROM {original} WITH NO DATA")


def insert(statement: Statement) -> str:
    """Adds the rows."""
    columns = ", ".join(quoted(statement.columns))
    return f"INSERT INTO {statement.target} ({columns}) SELECT {columns} FROM (\n{statement.sql}\n) AS made"


def replacement(statement: Statement) -> str:
    """Deletes the rows that are replaced, and adds the others, in one commit.

    The source is the new rows, without a marker, and one row more with it. Every row that has to go matches that one row, by a key that
    makes a hash join of it; new rows match nothing.
    """
    columns = quoted(statement.columns)
    # Other names than the table's: in the condition a name must mean the table's column.
    made = [f"made_{number}" for number in range(len(columns))]
    return f"""MERGE INTO {statement.target} USING (
SELECT CAST(NULL AS integer), {", ".join(columns)} FROM (
{statement.sql}
) AS made
UNION ALL
SELECT 1, {", ".join("NULL" for _ in columns)}
) AS source (marker, {", ".join(made)})
ON source.marker = CASE WHEN {statement.replaces} THEN 1 END AND ({statement.replaces})
WHEN MATCHED THEN DELETE
WHEN NOT MATCHED AND source.marker IS NULL THEN INSERT ({", ".join(columns)}) VALUES ({", ".join(f"source.{name}" for name in made)})"""


def quoted(names: tuple[str, ...]) -> list[str]:
    """As identifiers."""
    return ['"' + name.replace('"', '""') + '"' for name in names]


def run(trino: Trino, statement: Statement) -> int:
    """Runs a statement, and gives the rows that it wrote."""
    if statement.replaces is None:
        return trino.run(insert(statement)) or 0
    [[before]] = trino.rows(f"SELECT count(*) FROM {statement.target} WHERE {statement.replaces}")
    if before == 0:
        return trino.run(insert(statement)) or 0
    # Trino counts the rows that went too.
    return (trino.run(replacement(statement)) or 0) - before


def run_until_it_lands(trino: Trino, statement: Statement) -> int:
    """The same, again where another's commit was faster."""
    for attempt in range(1, TRIES + 1):
        try:
            return run(trino, statement)
        except TrinoError as error:
            if attempt == TRIES or error.name not in CONFLICTS:
                raise SystemExit(f"{statement.job} of {statement.date}: {error}") from None
    raise AssertionError("the last attempt returns or raises")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(options)
    options.add_argument("--server", required=True, metavar="URL", help="the coordinator, such as https://trino:8443")
    options.add_argument("--catalog", default="lake", help="the Iceberg catalog's name in Trino")
    options.add_argument("--user", default="pulselake")
    options.add_argument("--password-env", metavar="VARIABLE", help="the variable that holds the password")
    chosen = options.parse_args()
    days = days_of(chosen, options)
    password = os.environ[chosen.password_env] if chosen.password_env else None
    trino = Trino(chosen.server, chosen.catalog, chosen.user, password)
    run_days(chosen, "trino", days, partial(make_target, trino), partial(run_until_it_lands, trino))


if __name__ == "__main__":
    main()
