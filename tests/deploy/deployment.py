"""What the tests of the deployment files share: the files, read, and the real programs to ask about them.

A settings file is checked by `pulselake config check` itself, a command line by putting --help behind it: the program reads all of a line
before it helps, and refuses what it does not know.
"""

import os
import re
import subprocess
import tempfile
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
KUBERNETES = ROOT / "deploy" / "kubernetes"

PINNED = re.compile(r":v?\d+(\.\d+)*([.-][\w.-]+)?(@sha256:[0-9a-f]{64})?$")
"""A tag that is a version; behind it a digest, if there is one."""


def program() -> Path:
    """The newest build of `pulselake` that has `pulselake-query` beside it."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = [target / profile / "pulselake" for profile in ("debug", "release")]
    whole = [path for path in built if path.exists() and path.with_name("pulselake-query").exists()]
    if not whole:
        raise AssertionError(f"no pulselake with pulselake-query in {target}: cargo build -p pulselake -p pulselake-query")
    return max(whole, key=lambda path: path.stat().st_mtime)


def run(arguments: list[str], **environment: str) -> subprocess.CompletedProcess:
    """Runs `pulselake ARGUMENTS` with nothing of our own environment that is a setting."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PULSELAKE_")}
    return subprocess.run(
        [program(), *arguments], env=own | environment, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL
    )


def problem_of_command(arguments: list[str]) -> str:
    """Why the program does not take a command line; empty where it does."""
    ended = run([*arguments, "--help"])
    return "" if ended.returncode == 0 and "Usage:" in ended.stdout else ended.stderr or ended.stdout


def problem_of_settings(path: Path, secrets: str) -> str:
    """Why a settings file is wrong; empty where it is right. Secrets below `secrets` are made up, and rules and baseline are the repository's."""
    with tempfile.TemporaryDirectory() as directory:
        made_up = Path(directory, "secrets")
        made_up.mkdir()
        text = path.read_text(encoding="utf-8")
        for name in secrets_in(path, secrets):
            (made_up / name).write_text("made-up", encoding="utf-8")
        copy = Path(directory, "copy.toml")
        moved = text.replace(f"{secrets}/", f"{made_up}/").replace("/etc/pulselake/", f"{ROOT / 'config'}/")
        copy.write_text(moved, encoding="utf-8")
        ended = run(["config", "check", "--config", str(copy)])
        return "" if ended.returncode == 0 else ended.stderr


def secrets_in(path: Path, directory: str) -> set[str]:
    """The names of the secrets that a settings file takes from a directory."""
    return set(re.findall(rf'"{directory}/([\w.]+)"', path.read_text(encoding="utf-8")))


def settings(path: Path) -> dict:
    """A settings file."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


def documents(path: Path) -> list[dict]:
    """The documents of a YAML file."""
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def compose(name: str) -> dict:
    """A Compose file with what it includes; names that both have are an error."""
    whole = documents(DOCKER / name)[0]
    for included in whole.get("include", []):
        part = documents(DOCKER / included)[0]
        for kind in ("services", "secrets", "volumes", "networks"):
            ours, theirs = whole.setdefault(kind, {}), part.get(kind, {})
            assert not ours.keys() & theirs.keys(), f"{name} and {included} both have {ours.keys() & theirs.keys()}"
            ours.update(theirs)
    return whole


def dockerfile_instructions(path: Path) -> list[str]:
    """The instructions of a Dockerfile, each on one line, without comments."""
    lines = (line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#"))
    return re.sub(r"\s*\\\n\s*", " ", "\n".join(lines)).splitlines()
