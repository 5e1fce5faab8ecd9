"""How each engine is started for the same work, and which tables it fills."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent

WATERMARK_S = 10
"""How late an event may be and still be on time, for every engine."""

# Reflection that Flink and its serializers need on a JDK of today: packages of the module java.base.
OPENED_PACKAGES = (
    "lang lang.reflect io math net nio text time util util.concurrent util.concurrent.atomic util.concurrent.locks"
)


@dataclass(frozen=True)
class Job:
    """What an engine is to do."""

    brokers: str
    topic: str
    out: Path
    """Directory of its own, with one directory `run-N` for the tables of each run."""
    live: bool
    """Follow the topic until told to stop, in place of draining it."""
    runs: int
    """Drains in one process: only engines that warm up do more than one."""
    interval_s: int
    """Seconds between commits of bronze."""
    cores: int
    heap: str
    """Largest Java heap."""
    program: Path
    """The Pulselake program."""

    def home(self, run: int = 1) -> Path:
        """The directory of the tables of one run: `catalog.db` and `warehouse`."""
        return self.out / f"run-{run}"


@dataclass(frozen=True)
class Engine:
    """One of the compared programs."""

    name: str
    title: str
    warms_up: bool
    """Whether it compiles itself while it runs, so that a second drain in the same process costs less."""


ENGINES = {
    "pulselake": Engine("pulselake", "Pulselake", False),
    "spark": Engine("spark", "Spark Structured Streaming", True),
    "flink": Engine("flink", "Flink", True),
}


def command(engine: Engine, job: Job) -> tuple[list[str], dict[str, str]]:
    """The command line and the environment."""
    return {"pulselake": _pulselake, "spark": _spark, "flink": _flink}[engine.name](job)


def _pulselake(job: Job) -> tuple[list[str], dict[str, str]]:
    words = [
        str(job.program),
        "run",
        "--brokers",
        job.brokers,
        "--topic",
        job.topic,
        "--group",
        f"peers-{job.out.name}",
    ]
    words += [
        "--data-dir",
        str(job.home()),
        "--metrics-bind",
        "",
        "--set",
        f"bronze.commit_interval_ms={job.interval_s * 1000}",
    ]
    words += ["--set", f"windows.watermark_delay_ms={WATERMARK_S * 1000}", "--set", f"engine.shards={job.cores}"]
    # The peers don't compact either, and each file has to be found again in the commit that made it.
    words += ["--set", "maintenance.enabled=false"]
    if not job.live:
        words.append("--until-caught-up")
    return words, dict(os.environ)


def _spark(job: Job) -> tuple[list[str], dict[str, str]]:
    words = [
        os.environ["PEERS_SPARK_PYTHON"],
        str(HERE / "spark" / "job.py"),
        "--brokers",
        job.brokers,
        "--topic",
        job.topic,
    ]
    words += ["--out", str(job.out), "--runs", str(job.runs), "--cores", str(job.cores), "--heap", job.heap]
    words += ["--interval-s", str(job.interval_s), "--watermark-s", str(WATERMARK_S)]
    if job.live:
        words.append("--live")
    return words, {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"}


def _flink(job: Job) -> tuple[list[str], dict[str, str]]:
    words = ["java", f"-Xmx{job.heap}", "-XX:+UseG1GC", f"-Djava.io.tmpdir={job.out}"]
    words += [f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in OPENED_PACKAGES.split()]
    words += ["-cp", os.environ["PEERS_FLINK_CLASS_PATH"], "PeerJob", f"brokers={job.brokers}", f"topic={job.topic}"]
    words += [f"out={job.out}", f"runs={job.runs}", f"cores={job.cores}", f"interval_s={job.interval_s}"]
    words += [f"watermark_s={WATERMARK_S}", f"live={str(job.live).lower()}"]
    return words, dict(os.environ)


def version(engine: Engine, program: Path) -> str:
    """What ran, for the report: of the peers what their pinned files say."""
    if engine.name == "pulselake":
        return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    pins = (HERE / engine.name / "pom.xml").read_text()
    iceberg = re.search(r"<artifactId>iceberg-\S+</artifactId>\s*<version>(\S+)</version>", pins)[1]
    if engine.name == "spark":
        own = re.search(r"<artifactId>spark-sql-kafka\S+</artifactId>\s*<version>(\S+)</version>", pins)[1]
    else:
        own = re.search(r"==(\S+)", (HERE / "flink" / "requirements.txt").read_text())[1]
    return f"{engine.title} {own}, Iceberg {iceberg}"
