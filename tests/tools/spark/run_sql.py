"""Run by spark-sql.sh, which says what it takes and prints."""

import os
import sys
import tempfile

from pyspark.sql import SparkSession


def catalog_properties(uri, options):
    properties = {"uri": uri, "type": "jdbc" if uri.startswith("jdbc:") else "rest", "cache-enabled": "false"}
    if uri.startswith("jdbc:"):
        properties["jdbc.schema-version"] = "V1"
    for key, value in options.items():
        if key != "s3":
            properties[key] = value
            continue
        properties |= {
            "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
            "s3.endpoint": value,
            "s3.path-style-access": "true",
            "s3.access-key-id": "test",
            "s3.secret-access-key": "testtest",
            "client.region": "us-east-1",
        }
    return properties


def main():
    separator = sys.argv.index("--")
    uri, statements = sys.argv[1], sys.argv[separator + 1 :]
    options = dict(option.split("=", 1) for option in sys.argv[2:separator])
    catalog = options.pop("catalog", "lake")
    with tempfile.TemporaryDirectory() as scratch:
        settings = {
            "spark.driver.memory": os.environ.get("PULSELAKE_TEST_SPARK_HEAP", "1g"),
            "spark.driver.extraClassPath": os.environ["SPARK_CLASS_PATH"],
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.local.dir": scratch,
            "spark.sql.warehouse.dir": f"{scratch}/warehouse",
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.shuffle.partitions": "4",
            "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
            f"spark.sql.catalog.{catalog}": "org.apache.iceberg.spark.SparkCatalog",
            "spark.sql.defaultCatalog": catalog,
        }
        settings |= {f"spark.sql.catalog.{catalog}.{key}": value for key, value in catalog_properties(uri, options).items()}
        builder = SparkSession.builder.master("local[2]").appName("pulselake-tests")
        for key, value in settings.items():
            builder = builder.config(key, value)
        spark = builder.getOrCreate()
        spark.sparkContext.setLogLevel("ERROR")
        for statement in statements:
            for line in spark.sql(statement).toJSON().collect():
                print(line, flush=True)
        spark.stop()


main()
