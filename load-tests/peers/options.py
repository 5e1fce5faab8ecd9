"""The options of run.sh, and what must be there before it starts. As a program: prints the engines to compare."""

import argparse
import os
import shutil
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent

ENGINES = ("pulselake", "spark", "flink")
"""In the order in which they run."""

SMALL_PART = 5
"""The small topic of a drain has this part of the big one's events."""


def engine_list(text: str) -> list[str]:
    """The engines of `--only`, in the order in which they run."""
    names = [name.strip() for name in text.split(",")]
    unknown = sorted(set(names) - set(ENGINES))
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(ENGINES)}")
    return [name for name in ENGINES if name in names]


def at_least(smallest: int):
    """A parser of whole numbers that are not smaller."""

    def parse(text: str) -> int:
        try:
            number = int(text.replace("_", ""))
        except ValueError:
            number = smallest - 1
        if number < smallest:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least {smallest}")
        return number

    return parse


def parser() -> argparse.ArgumentParser:
    """The options of run.sh."""
    options = argparse.ArgumentParser(
        prog="run.sh",
        description="Compares Pulselake with Spark Structured Streaming and Flink: "
        "the same topic into the same Iceberg tables.",
    )
    options.add_argument(
        "--events",
        type=at_least(10_000),
        default=5_000_000,
        help="events of the big topic of the drain (default 5000000)",
    )
    options.add_argument(
        "--runs", type=at_least(1), default=1, help="runs of each engine and size; medians count (default 1)"
    )
    options.add_argument(
        "--live",
        type=at_least(1),
        metavar="RATE",
        help="live in place of the drain: events per second while the engines run",
    )
    options.add_argument(
        "--duration-s", type=at_least(90), default=300, help="how long events flow in a live run (default 300)"
    )
    options.add_argument(
        "--warm-up-s",
        type=at_least(0),
        default=60,
        help="first seconds of a live run that are not measured (default 60)",
    )
    options.add_argument(
        "--interval-s",
        type=at_least(1),
        default=10,
        help="seconds between two commits of bronze, of each engine (default 10)",
    )
    options.add_argument(
        "--only", type=engine_list, default=list(ENGINES), metavar="ENGINE,…", help="leave the others out"
    )
    options.add_argument("--partitions", type=at_least(1), default=12, help="of the topics (default 12)")
    options.add_argument("--seed", type=at_least(0), default=42, help="of the generated events (default 42)")
    options.add_argument("--heap", default="4g", help="largest Java heap of Spark and of Flink (default 4g)")
    options.add_argument(
        "--engine",
        type=Path,
        default=Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")) / "release" / "pulselake",
        help="the Pulselake program, which also generates the events (default: the release build)",
    )
    options.add_argument(
        "--work-dir", type=Path, help="where tables are made and removed (default: where temporary files go)"
    )
    options.add_argument("--report", type=Path, metavar="DIR", help="also write peers.json and peers.md there")
    options.add_argument("--keep", action="store_true", help="leave tables and logs in the work directory")
    return options


def missing_parts(chosen: argparse.Namespace) -> list[str]:
    """What is not there, as sentences that say what to do."""
    missing = []
    if sys.platform != "linux":
        missing.append(f"CPU time and memory are read from Linux's /proc, which {sys.platform} does not have")
    # Pulselake's program makes the events too, so it is needed whichever engines are compared.
    if not os.access(chosen.engine, os.X_OK):
        missing.append(
            f"{chosen.engine} is not there: build it with `cargo build --locked --release -p pulselake`, "
            "or name one by --engine"
        )
    peers = [name for name in chosen.only if name != "pulselake"]
    if peers:
        for program in ("java", "javac", "mvn"):
            if not shutil.which(program):
                names = " and ".join(peers)
                missing.append(f"'{program}' was not found, for {names}: install a JDK 17 or newer and Maven")
    if chosen.live is not None and chosen.duration_s < chosen.warm_up_s + 75:
        missing.append(
            f"--duration-s {chosen.duration_s} may leave no window's end to measure "
            f"after --warm-up-s {chosen.warm_up_s}: make it at least {chosen.warm_up_s + 75}"
        )
    return missing


def main() -> None:
    chosen = parser().parse_args()
    missing = missing_parts(chosen)
    for sentence in missing:
        print(f"peers: {sentence}", file=sys.stderr)
    if missing:
        sys.exit(1)
    print(" ".join(chosen.only))


if __name__ == "__main__":
    main()
