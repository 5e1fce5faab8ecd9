#!/usr/bin/env python3
"""Makes monitoring/prometheus-rule.yaml out of config/prometheus/rules: the Prometheus operator's form of the same rules.

Run without arguments it writes the file. The rules have one source, config/prometheus; tests/deploy compares the two.
"""

from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
RULES = HERE.parents[1] / "config" / "prometheus" / "rules"
TARGET = HERE / "monitoring" / "prometheus-rule.yaml"
HEAD = "# Made by make_prometheus_rule.py from config/prometheus/rules: change those, and run it again.\n"


def prometheus_rule(rules: Path = RULES) -> str:
    """The manifest with every group of every file, in the order of the files' names."""
    groups = [group for path in sorted(rules.glob("*.yml")) for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]]
    manifest = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "pulselake", "labels": {"app.kubernetes.io/name": "pulselake"}},
        "spec": {"groups": groups},
    }
    return HEAD + yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True, width=160)


if __name__ == "__main__":
    TARGET.write_text(prometheus_rule(), encoding="utf-8")
