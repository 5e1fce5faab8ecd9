"""Every hour: small files become large ones, old snapshots and files without a use go (`pulselake maintain`).

A running engine does this by itself: switch it off there (`maintenance.enabled = false`) or leave this DAG paused. Both together do no
harm, a lease on each table sees to that, but no good either.
"""

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG

from pulselake_operator import PulselakeOperator

with DAG(
    dag_id="pulselake_maintenance",
    description="Compaction, expiry and orphans of every table",
    doc_md=__doc__,
    schedule="17 * * * *",
    start_date=datetime(2020, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    tags=["pulselake"],
):
    PulselakeOperator(
        task_id="maintain",
        arguments=["maintain"],
        execution_timeout=timedelta(minutes=55),
    )
