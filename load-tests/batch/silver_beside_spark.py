"""CPU seconds and memory of silver for one day, by Pulselake and by Spark, on the same lake.

A generated day of `--rows` events lies in bronze with its dimensions. Then each engine makes `silver.fact_user_engagement` of it: Pulselake by
`pulselake batch run`, Spark by `sql/spark/job.py`, into a namespace of its own. One JSON object on standard output.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "load-tests" / "peers"), str(ROOT / "tests" / "verify")]
from process_tree import ProcessTree  # noqa: E402

DAY, DAY_BEFORE = "2024-02-07", "2024-02-06"
DAY_START_MS = 1_707_264_000_000
DAY_S = 86_400
SILVER = "silver.fact_user_engagement"
PATIENCE_S = 4 * 3_600
GENERATOR_SCENARIOS = '["schema_drift:start_s=3600", "late_events", "duplicates:strength=0.1", "broken_client"]'


def tell(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def measure(name: str, command: list[str], work: Path, environment: dict[str, str] | None = None) -> dict:
    """Runs a program to its end; gives what it and all that it started have used, and the JSON lines that it printed."""
    tell(f"{name}: {' '.join(command[:4])} …")
    log = work / f"{name}.log"
    with ProcessTree(command, log, {**os.environ, **(environment or {})}) as tree:
        if not tree.wait(PATIENCE_S):
            sys.exit(f"{name} did not end within {PATIENCE_S} s: {tree.end_of_log()}")
        ended = tree.usage()
        if tree.exit_code != 0:
            sys.exit(f"{name} ended with exit code {tree.exit_code}: {tree.end_of_log()}")
    return {
        "cpu_s": round(ended.cpu_s, 2),
        "wall_s": round(ended.time_s - tree.started.time_s, 2),
        "peak_resident_mib": round(ended.peak_resident_bytes / 2**20),
        "other_cpu_s": round(ended.machine_cpu_s - tree.started.machine_cpu_s - ended.cpu_s, 2),
    }


def fill(chosen: argparse.Namespace, lake: Path, work: Path) -> None:
    """A day of events and changes, by the engine itself."""
    settings = [
        "source.kind=generator",
        f"generator.start_ms={DAY_START_MS}",
        f"generator.length_s={DAY_S}",
        f"generator.rate_per_s={max(1, round(chosen.rows / DAY_S))}",
        f"generator.videos={chosen.videos}",
        f"generator.users={chosen.users or max(1_000, chosen.rows // 50)}",
        f"generator.scenarios={GENERATOR_SCENARIOS}",
        "maintenance.enabled=false",
        "http.bind=",
        "lake.fsync=false",
    ]
    command = [str(chosen.engine), "run", "--until-caught-up", "--data-dir", str(lake)]
    for setting in settings:
        command += ["--set", setting]
    command += ["--cdc-topics", "videos=cdc.content.videos,users=cdc.users.profiles"]
    measure("fill", command, work)


def rows_of(lake: Path, table: str) -> int:
    """Rows of a table, by PyIceberg."""
    from lake_tables import open_catalog

    return open_catalog(lake).load_table(table).scan().count()


def batch(chosen: argparse.Namespace, lake: Path, job: str) -> list[str]:
    words = [str(chosen.engine), "batch", "run", "--data-dir", str(lake), "--date", DAY, "--job", job]
    return words + ["--memory-mib", str(chosen.memory_mib)]


def spark(chosen: argparse.Namespace, lake: Path, day: str) -> list[str]:
    return [
        str(ROOT / "tests" / "tools" / "spark-submit.sh"),
        f"jdbc:sqlite:{lake}/catalog.db?journal_mode=WAL&busy_timeout=30000",
        "catalog=pulselake",
        f"warehouse=file://{lake}/warehouse",
        "--",
        "--py-files",
        str(ROOT / "sql" / "rendered.py"),
        str(ROOT / "sql" / "spark" / "job.py"),
        "--catalog=pulselake",
        f"--date={day}",
        "--job=fact_user_engagement",
        "--target-namespace-prefix=spark_",
        f"--pulselake={chosen.engine}",
        f"--render-option=--data-dir={lake}",
    ]


def per_million(cpu_s: float, rows: int) -> float:
    return round(cpu_s / (rows / 1e6), 3)


def compare(chosen: argparse.Namespace, work: Path) -> dict:
    lake = work / "lake"
    fill(chosen, lake, work)
    rows = rows_of(lake, "bronze.raw_events")
    tell(f"bronze has {rows} rows")
    result: dict = {"day": DAY, "bronze_rows": rows, "load_average": os.getloadavg()}
    result["payload_fields"] = measure("payload_fields", batch(chosen, lake, "payload_fields"), work)
    own = measure("pulselake", batch(chosen, lake, "fact_user_engagement"), work)
    own |= {"memory_mib": chosen.memory_mib, "silver_rows": rows_of(lake, SILVER), "cpu_s_per_million": per_million(own["cpu_s"], rows)}
    result["pulselake"] = own
    tell(json.dumps(own))
    if chosen.spark:
        heap = {"PULSELAKE_TEST_SPARK_HEAP": chosen.heap, "PULSELAKE_TEST_SPARK_CORES": str(chosen.cores)}
        # An empty day: what starting Spark and the job costs.
        start = measure("spark-start", spark(chosen, lake, DAY_BEFORE), work, heap)
        theirs = measure("spark", spark(chosen, lake, DAY), work, heap)
        work_cpu_s = theirs["cpu_s"] - start["cpu_s"]
        theirs |= {
            "heap": chosen.heap,
            "cores": chosen.cores,
            "start_cpu_s": start["cpu_s"],
            "start_wall_s": start["wall_s"],
            "silver_rows": rows_of(lake, f"spark_{SILVER}"),
            "cpu_s_per_million": per_million(work_cpu_s, rows),
        }
        result["spark"] = theirs
        result["ratio_without_start"] = round(work_cpu_s / own["cpu_s"], 2)
        result["ratio_with_start"] = round(theirs["cpu_s"] / own["cpu_s"], 2)
        if theirs["silver_rows"] != own["silver_rows"]:
            sys.exit(f"the engines made different numbers of rows: {json.dumps(result)}")
    return result


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=2_000_000, help="events of the day, about [2000000]")
    options.add_argument("--users", type=int, help="[a fiftieth of the rows]")
    options.add_argument("--videos", type=int, default=10_000, help="[10000]")
    options.add_argument("--engine", type=Path, default=ROOT / "target" / "release" / "pulselake", help="the program; pulselake-query beside it")
    options.add_argument("--memory-mib", type=int, default=1_024, help="of pulselake-query [1024]")
    options.add_argument("--no-spark", dest="spark", action="store_false", help="Pulselake alone")
    options.add_argument("--heap", default="4g", help="of Spark's JVM [4g]")
    options.add_argument("--cores", type=int, default=2, help="of Spark: local[CORES] [2]")
    options.add_argument("--work-dir", type=Path, help="where lake and logs lie [a temporary directory]; kept when it is given")
    chosen = options.parse_args()
    for program in (chosen.engine, chosen.engine.with_name("pulselake-query")):
        if not program.is_file():
            sys.exit(f"{program} is not there: build it by make build query, or name another by --engine")
    chosen.engine = chosen.engine.resolve()
    work = (chosen.work_dir or Path(tempfile.mkdtemp(prefix="pulselake-batch-"))).resolve()
    work.mkdir(parents=True, exist_ok=True)
    try:
        print(json.dumps(compare(chosen, work), indent=1))
    finally:
        if chosen.work_dir is None:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
