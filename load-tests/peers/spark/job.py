"""The work in Spark Structured Streaming: a topic of events into bronze and 1-minute gold.

Two streaming queries in one session. Run by engines.py. Marks on standard output (see process_tree.py): `ready`,
`begin` and `end` of each drain.
"""

import argparse
import glob
import json
import os
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

STATE_STORE = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"

BATCH_RECORDS = 1_000_000
"""Records of one micro-batch of a drain. Its event ids stay in the state store until the batch is over."""

TABLE_PROPERTIES = """'format-version'='2', 'write.parquet.compression-codec'='zstd',
    'write.parquet.compression-level'='1'"""

BRONZE = f"""CREATE TABLE {{catalog}}.bronze.raw_events (event_id string, event_timestamp timestamp, video_id string,
    user_id string, event_type string, schema_version string, payload_json string, header_extra_json string,
    source_topic string, source_partition int, source_offset bigint, ingested_at timestamp)
    USING iceberg PARTITIONED BY (hours(event_timestamp))
    TBLPROPERTIES ({TABLE_PROPERTIES}, 'write.distribution-mode'='none', 'write.spark.fanout.enabled'='true')"""
"""No shuffle before the files are written: an hour is one task's work otherwise."""

GOLD = f"""CREATE TABLE {{catalog}}.gold.rt_video_stats_1min (video_id string, window_start timestamp,
    window_end timestamp, impressions bigint, play_start bigint, play_finish bigint, likes bigint, shares bigint,
    skips bigint, watch_time_sum_ms bigint, processed_at timestamp)
    USING iceberg PARTITIONED BY (days(window_start), bucket(16, video_id)) TBLPROPERTIES ({TABLE_PROPERTIES})"""

HEADER = [
    T.StructField(name, T.StringType()) for name in ("event_id", "video_id", "user_id", "event_type", "schema_version")
]
HEADER.append(T.StructField("event_timestamp", T.TimestampType()))
WHOLE_EVENT = T.StructType([*HEADER, T.StructField("payload", T.StringType())])
"""The body as text, as bronze keeps it."""
COUNTED_EVENT = T.StructType(
    [*HEADER, T.StructField("payload", T.StructType([T.StructField("watch_time_ms", T.LongType())]))]
)
"""The body as what gold needs of it."""


def mark(name: str, **facts: object) -> None:
    """Tells the comparison how far it is."""
    print("PEER " + json.dumps({"mark": name, **facts}), flush=True)


def start_session(chosen: argparse.Namespace) -> SparkSession:
    """A session on this machine's cores, with a catalog for each run."""
    settings = {
        "spark.driver.memory": chosen.heap,
        "spark.driver.extraClassPath": ":".join(sorted(glob.glob(os.environ["PEERS_SPARK_JARS"] + "/*.jar"))),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.local.dir": f"{chosen.out}/scratch",
        "spark.sql.warehouse.dir": f"{chosen.out}/scratch/warehouse",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(chosen.cores),
        "spark.sql.streaming.stateStore.providerClass": STATE_STORE,
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
    }
    for run in range(1, chosen.runs + 1):
        catalog = f"spark.sql.catalog.run_{run}"
        settings |= {
            catalog: "org.apache.iceberg.spark.SparkCatalog",
            f"{catalog}.type": "jdbc",
            f"{catalog}.uri": f"jdbc:sqlite:{chosen.out}/run-{run}/catalog.db?journal_mode=WAL&busy_timeout=30000",
            f"{catalog}.clients": "1",
            f"{catalog}.jdbc.schema-version": "V1",
            f"{catalog}.warehouse": f"file://{chosen.out}/run-{run}/warehouse",
            f"{catalog}.cache-enabled": "false",
        }
        (chosen.out / f"run-{run}").mkdir(parents=True, exist_ok=True)
    builder = SparkSession.builder.master(f"local[{chosen.cores}]").appName("pulselake-peers")
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def records(session: SparkSession, chosen: argparse.Namespace, schema: T.StructType) -> DataFrame:
    """The topic from its start, each value parsed into `event`."""
    reader = session.readStream.format("kafka").option("kafka.bootstrap.servers", chosen.brokers)
    reader = (
        reader.option("subscribe", chosen.topic).option("startingOffsets", "earliest").option("failOnDataLoss", "true")
    )
    if not chosen.live:
        reader = reader.option("maxOffsetsPerTrigger", BATCH_RECORDS)
    event = F.from_json(F.col("value").cast("string"), schema).alias("event")
    return reader.load().select(event, "topic", "partition", "offset")


def bronze_rows(source: DataFrame, cores: int) -> DataFrame:
    """One row per record. As many tasks as cores: a task per Kafka partition would make a file each."""
    return source.select(
        "event.event_id",
        "event.event_timestamp",
        "event.video_id",
        "event.user_id",
        "event.event_type",
        "event.schema_version",
        F.col("event.payload").alias("payload_json"),
        F.lit(None).cast("string").alias("header_extra_json"),
        F.col("topic").alias("source_topic"),
        F.col("partition").alias("source_partition"),
        F.col("offset").alias("source_offset"),
        F.current_timestamp().alias("ingested_at"),
    ).coalesce(cores)


def gold_rows(source: DataFrame, watermark_s: int) -> DataFrame:
    """Counts per video and minute, each event id once."""

    def count(event_type: str) -> Column:
        return F.count(F.when(F.col("event_type") == event_type, 1))

    events = source.select("event.*").withWatermark("event_timestamp", f"{watermark_s} seconds")
    # A repeated event has the time of the first: with the time among the keys, the state ends with the watermark.
    once = events.dropDuplicates(["event_id", "event_timestamp"])
    counts = once.groupBy(F.window("event_timestamp", "1 minute").alias("window"), "video_id").agg(
        count("impression").alias("impressions"),
        count("play_start").alias("play_start"),
        count("play_finish").alias("play_finish"),
        count("like").alias("likes"),
        count("share").alias("shares"),
        count("skip").alias("skips"),
        F.coalesce(F.sum("payload.watch_time_ms"), F.lit(0)).alias("watch_time_sum_ms"),
    )
    return counts.select(
        "video_id",
        F.col("window.start").alias("window_start"),
        F.col("window.end").alias("window_end"),
        "impressions",
        "play_start",
        "play_finish",
        "likes",
        "shares",
        "skips",
        "watch_time_sum_ms",
        F.current_timestamp().alias("processed_at"),
    )


def start_queries(session: SparkSession, chosen: argparse.Namespace, run: int) -> list:
    """Makes the tables of one run and starts what fills them."""
    catalog = f"run_{run}"
    for namespace, table in (("bronze", BRONZE), ("gold", GOLD)):
        session.sql(f"CREATE NAMESPACE IF NOT EXISTS {catalog}.{namespace}")
        session.sql(table.format(catalog=catalog))
    streams = {
        "bronze.raw_events": bronze_rows(records(session, chosen, WHOLE_EVENT), chosen.cores),
        "gold.rt_video_stats_1min": gold_rows(records(session, chosen, COUNTED_EVENT), chosen.watermark_s),
    }
    queries = []
    for table, rows in streams.items():
        writer = rows.writeStream.format("iceberg").outputMode("append").queryName(f"{table} {run}")
        writer = writer.option("checkpointLocation", f"{chosen.out}/run-{run}/checkpoints/{table}")
        interval = {"processingTime": f"{chosen.interval_s} seconds"} if chosen.live else {"availableNow": True}
        queries.append(writer.trigger(**interval).toTable(f"{catalog}.{table}"))
    return queries


def parse_arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--brokers", required=True)
    options.add_argument("--topic", required=True)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--runs", type=int, required=True)
    options.add_argument("--cores", type=int, required=True)
    options.add_argument("--heap", required=True)
    options.add_argument("--interval-s", type=int, required=True)
    options.add_argument("--watermark-s", type=int, required=True)
    options.add_argument("--live", action="store_true")
    return options.parse_args()


def main() -> None:
    chosen = parse_arguments()
    session = start_session(chosen)
    if chosen.live:
        start_queries(session, chosen, 1)
        mark("ready")
        session.streams.awaitAnyTermination()
        return
    mark("ready")
    for run in range(1, chosen.runs + 1):
        mark(f"begin {run}")
        for query in start_queries(session, chosen, run):
            query.awaitTermination()
        mark(f"end {run}")
    session.stop()


main()
