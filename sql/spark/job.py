"""The cold path on Spark: each day of each table is replaced in one commit, as `pulselake batch run` does it.

    spark-submit --py-files sql/rendered.py [--conf …] sql/spark/job.py --date 2026-02-07 [--catalog lake]

The catalog of that name is Spark's own configuration (docs/orchestration.md). The queries are those of sql/silver and sql/gold in Spark's
dialect, which `pulselake batch render` prints. A day can be run again at any time, and a run that was killed has changed nothing
of the table that it was working on. One line of JSON for each statement says what it wrote.
"""

import argparse
from functools import partial

from pyspark.sql import DataFrame, DataFrameWriterV2, Observation, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.functions import partitioning

from rendered import Statement, add_arguments, days_of, run_days

def start_session(catalog: str) -> SparkSession:
    """The session that spark-submit configures, in UTC and with `catalog` as the current one."""
    session = SparkSession.builder.appName("pulselake-batch").getOrCreate()
    # Days and minutes are UTC's.
    session.conf.set("spark.sql.session.timeZone", "UTC")
    session.catalog.setCurrentCatalog(catalog)
    return session


def writer_to(rows: DataFrame, target: str) -> DataFrameWriterV2:
    """A day is one partition: nothing has to be shuffled before it is written."""
    return rows.writeTo(target).option("distribution-mode", "none")


def make_target(session: SparkSession, statement: Statement, original: str) -> None:
    """Makes the table for a comparison, with the columns and partitions of the one that it stands beside."""
    if session.catalog.tableExists(statement.target):
        return
    session.sql(f"CREATE NAMESPACE IF NOT EXISTS {statement.target.rpartition('.')[0]}")
    writer = session.table(original).limit(0).writeTo(statement.target).using("iceberg")
    # Functions of columns need a session: no constant of the module.
    partitions = {"date": [F.col("date")], "day(event_timestamp)": [partitioning.days("event_timestamp")], None: []}
    if partitions[statement.partition]:
        writer = writer.partitionedBy(*partitions[statement.partition])
    writer.create()


def run(session: SparkSession, statement: Statement) -> int:
    """Runs a statement, and gives the rows that it wrote.

    The rows that it replaces go in the same commit, also where there are none to take their place.
    """
    counted = Observation("written")
    rows = session.sql(statement.sql).select(*statement.columns)
    writer = writer_to(rows.observe(counted, F.count(F.lit(1)).alias("rows")), statement.target)
    if statement.replaces is None:
        writer.append()
    else:
        writer.overwrite(F.expr(statement.replaces))
    return counted.get["rows"]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(options)
    options.add_argument("--catalog", default="lake", help="the Iceberg catalog's name in Spark's configuration")
    chosen = options.parse_args()
    days = days_of(chosen, options)
    session = start_session(chosen.catalog)
    run_days(chosen, "spark", days, partial(make_target, session), partial(run, session))
    session.stop()


if __name__ == "__main__":
    main()
