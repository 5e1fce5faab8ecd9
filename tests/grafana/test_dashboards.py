"""The dashboards of config/grafana: made from their code, of things that there are, and of a form that Grafana's types accept.

No Grafana runs here. What a server would say beyond its schema (how a panel looks, whether a plugin is there) is not tested.
"""

import json
import re
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

if sys.version_info < (3, 11):
    raise unittest.SkipTest("grafana-foundation-sdk needs Python 3.11: the dashboards were not checked")

ROOT = Path(__file__).resolve().parents[2]
GRAFANA = ROOT / "config/grafana"
sys.path.insert(0, str(GRAFANA))

import generate  # noqa: E402
from grafana_foundation_sdk.cog.encoder import JSONEncoder  # noqa: E402
from grafana_foundation_sdk.cog.plugins import register_default_plugins  # noqa: E402
from grafana_foundation_sdk.models import units  # noqa: E402
from grafana_foundation_sdk.models.dashboard import Dashboard  # noqa: E402

import what_there_is  # noqa: E402
from promql import RISING, grouping, parsed, selectors  # noqa: E402

NAMES = sorted(generate.DASHBOARDS)
UNITS = {value for name, value in vars(units).items() if isinstance(value, str) and not name.startswith("_")}


@cache
def committed(name: str) -> dict[str, Any]:
    return json.loads((GRAFANA / "dashboards" / name).read_text())


def panels(name: str) -> Iterator[dict[str, Any]]:
    return (panel for panel in committed(name)["panels"] if panel["type"] != "row")


def expressions(name: str) -> Iterator[tuple[str, str, str]]:
    """Where it stands, the PromQL, and its legend."""
    whole = committed(name)
    for panel in panels(name):
        for target in panel["targets"]:
            if "expr" in target:
                yield f"{name}: {panel['title']} {target['refId']}", target["expr"], target.get("legendFormat", "")
    for annotation in whole["annotations"]["list"]:
        yield f"{name}: annotation {annotation['name']}", annotation["expr"], ""
    for variable in whole["templating"]["list"]:
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert asked, f"{name}: variable {variable['name']}"
            yield f"{name}: variable {variable['name']}", asked[1], f"{{{{{asked[2]}}}}}"


def known_metrics() -> dict[str, what_there_is.Metric]:
    of_others = {name: what_there_is.Metric(False, None) for name in what_there_is.of_the_alerts() | {what_there_is.ALERTS_SERIES}}
    recorded = {name: what_there_is.Metric(False, None) for name in what_there_is.rules("record")}
    return what_there_is.of_the_engine() | what_there_is.of_batch_jobs() | recorded | of_others


def mistakes(expression: str, legend: str = "") -> list[str]:
    """What an expression asks for that there is not."""
    metrics, tree, found = known_metrics(), parsed(expression), []
    labels, are_labels_known = set(what_there_is.OF_EVERY_SERIES), True
    for selector in selectors(tree):
        metric = metrics.get(selector.metric)
        if metric is None:
            found.append(f"{selector.metric} is no metric, and no recording rule")
            continue
        if metric.is_counter != (selector.function in RISING) and "label_values" not in legend:
            found.append(f"{selector.metric} in {selector.function or 'no function'}")
        if metric.labels is None:
            are_labels_known = False
            continue
        labels |= metric.labels
        found += [f"{selector.metric} has no label {label}" for label in selector.labels - metric.labels - what_there_is.OF_EVERY_SERIES]
    named = grouping(tree) | set(re.findall(r"{{(\w+)}}", legend))
    if are_labels_known:
        found += [f"no metric here has the label {label}" for label in named - labels]
    return found


class Generated(unittest.TestCase):
    def test_the_files_are_what_the_code_makes(self):
        self.assertEqual(generate.outdated(), [], "run config/grafana/generate.py")

    def test_a_file_that_was_changed_by_hand_is_noticed(self):
        with tempfile.TemporaryDirectory() as directory:
            target = Path(directory)
            for name, dashboard in generate.DASHBOARDS.items():
                (target / name).write_text(generate.as_text(dashboard))
            self.assertEqual(generate.outdated(target), [])
            changed = target / NAMES[0]
            changed.write_text(changed.read_text().replace("now-3h", "now-1h"))
            (target / "other.json").write_text("{}")
            self.assertEqual(generate.outdated(target), [NAMES[0], "other.json"])

    def test_the_types_of_grafanas_schema_take_every_field(self):
        # What the SDK's types, which are made from Grafana's schema, don't know is lost on the way through them.
        register_default_plugins()
        for name in NAMES:
            there_and_back = json.loads(json.dumps(Dashboard.from_json(committed(name)), cls=JSONEncoder))
            self.assertEqual(there_and_back, committed(name), name)
            misspelt = committed(name) | {"schemaVersoin": 36}
            self.assertNotEqual(json.loads(json.dumps(Dashboard.from_json(misspelt), cls=JSONEncoder)), misspelt)


class Form(unittest.TestCase):
    def test_panels_say_what_they_show(self):
        for name in NAMES:
            titles = [panel["title"] for panel in committed(name)["panels"]]
            self.assertEqual(len(titles), len(set(titles)), f"{name}: titles that are there twice")
            for panel in panels(name):
                where = f"{name}: {panel['title']}"
                self.assertRegex(panel["description"], r"^\S.{10,}[.]$", where)
                if panel["type"] in ("timeseries", "stat"):
                    self.assertIn(panel["fieldConfig"]["defaults"]["unit"], UNITS, where)
                refs = [target["refId"] for target in panel["targets"]]
                self.assertEqual(len(refs), len(set(refs)), where)
                for target in panel["targets"]:
                    self.assertEqual(target["datasource"], panel["datasource"], where)

    def test_ids_are_unique_and_stable(self):
        uids = {committed(name)["uid"] for name in NAMES}
        self.assertEqual(uids, {"pulselake-service", "pulselake-engine", "pulselake-content"})
        for name in NAMES:
            ids = [panel["id"] for panel in committed(name)["panels"]]
            self.assertEqual(ids, list(range(1, len(ids) + 1)), name)

    def test_panels_lie_in_the_grid_and_not_upon_each_other(self):
        for name in NAMES:
            taken: dict[tuple[int, int], str] = {}
            for panel in committed(name)["panels"]:
                place = panel["gridPos"]
                self.assertLessEqual(place["x"] + place["w"], 24, f"{name}: {panel['title']}")
                for cell in ((x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])):
                    self.assertNotIn(cell, taken, f"{name}: {panel['title']} lies upon {taken.get(cell)}")
                    taken[cell] = panel["title"]

    def test_variables_stand_for_sources_and_places(self):
        for name in NAMES:
            whole = committed(name)
            variables = {variable["name"]: variable for variable in whole["templating"]["list"]}
            self.assertLessEqual({"prometheus", "job", "instance", "runbooks"}, set(variables), name)
            text = json.dumps(whole)
            used = {braced or plain for braced, plain in re.findall(r"\$\{(\w+)[:}]|\$(\w+)", text)}
            of_grafana = {used_name for used_name in used if used_name.startswith("__")}
            self.assertEqual(used - of_grafana - {"datasource"}, set(variables) & used, name)
            self.assertEqual(set(variables) - used, set(), f"{name}: variables that nothing uses")
            for kind, uid in re.findall(r'"type": "([\w-]+)", "uid": "([^"]+)"', text):
                self.assertIn((kind, uid), {("prometheus", "${prometheus}"), ("trino-datasource", "${trino}")}, name)
            addresses = set(re.findall(r'https?://[^"$\\]+', text))
            self.assertLessEqual(addresses, {variables["runbooks"]["query"]}, f"{name}: addresses")

    def test_links_lead_to_runbooks_of_alerts(self):
        alerts = what_there_is.rules("alert")
        for name in NAMES:
            for panel in panels(name):
                for link in panel.get("links", []):
                    page = re.fullmatch(r"\$\{runbooks}/(\w+)\.html", link["url"])
                    self.assertTrue(page, link["url"])
                    self.assertIn(page[1], alerts, f"{name}: {panel['title']}")
                    self.assertTrue((ROOT / f"docs/runbooks/{page[1]}.md").is_file(), f"docs/runbooks/{page[1]}.md")


class Prometheus(unittest.TestCase):
    def test_every_expression_asks_for_what_there_is(self):
        for name in NAMES:
            for where, expression, legend in expressions(name):
                if ": variable " in where:
                    # Values of a label are asked of counters too.
                    names = [selector.metric for selector in selectors(parsed(expression))]
                    self.assertLessEqual(set(names), set(known_metrics()), where)
                    continue
                self.assertEqual(mistakes(expression, legend), [], f"{where}: {expression}")

    def test_expressions_that_are_wrong_are_noticed(self):
        for expression, what in (
            ("sum(pulselake_gold_ages_seconds)", "pulselake_gold_ages_seconds is no metric"),
            ("sum(pulselake_source_records_total)", "pulselake_source_records_total in no function"),
            ("rate(pulselake_consumer_lag_records[5m])", "pulselake_consumer_lag_records in rate"),
            ("histogram_quantile(0.95, rate(pulselake_commit_duration_seconds[5m]))", "pulselake_commit_duration_seconds is no metric"),
        ):
            self.assertIn(what, " ".join(mistakes(expression)), expression)
        with self.assertRaises(ValueError):
            parsed("sum by (le (pulselake_gold_age_seconds)")

    @unittest.skipUnless(what_there_is.documented_labels(), "docs/metrics.md is not there: labels were not checked")
    def test_labels_that_are_wrong_are_noticed(self):
        self.assertEqual(mistakes('pulselake_gold_age_seconds{table="x"}'), ["pulselake_gold_age_seconds has no label table"])
        self.assertEqual(mistakes("sum by (codes) (rate(pulselake_rejected_records_total[5m]))"), ["no metric here has the label codes"])
        self.assertEqual(mistakes("pulselake_consumer_lag_records", "{{shard}}"), ["no metric here has the label shard"])

    def test_recording_rules_are_those_of_the_alerts(self):
        asked = {s.metric for _, expression, _ in expressions("service-levels.json") for s in selectors(parsed(expression)) if ":" in s.metric}
        self.assertLessEqual(asked, what_there_is.rules("record"))
        self.assertIn("job:pulselake_freshness_budget:remaining_ratio", asked)

    def test_promtool_parses_every_expression(self):
        find = ["bash", "-c", '. "$1" && prometheus_bin', "bash", str(ROOT / "tests/tools/lib.sh")]
        directory_of_tools = subprocess.run(find, capture_output=True, text=True, timeout=60).stdout.strip()
        if not directory_of_tools:
            self.skipTest("promtool is not there (tests/tools/setup.sh brings it): the expressions were parsed by promql-parser alone")
        asked = [expression.replace("$__rate_interval", "5m") for name in NAMES for _, expression, _ in expressions(name)]
        rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(asked)]
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, "rules.yml")
            # JSON is YAML.
            file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
            checked = subprocess.run([f"{directory_of_tools}/promtool", "check", "rules", str(file)], capture_output=True, text=True, timeout=60)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)


class Provisioning(unittest.TestCase):
    def test_the_sources_are_of_the_kinds_that_dashboards_ask_for(self):
        sources = (GRAFANA / "provisioning/datasources/pulselake.yaml").read_text()
        asked = {v["query"] for name in NAMES for v in committed(name)["templating"]["list"] if v["type"] == "datasource"}
        self.assertEqual(set(re.findall(r"^    type: (\S+)$", sources, flags=re.MULTILINE)), asked)
        self.assertEqual(re.findall(r"^ +url: (?!\$\{PULSELAKE_\w+}$).*", sources, flags=re.MULTILINE), [], "addresses come from the environment")
        self.assertEqual(re.findall(r"(?i)password: (?!\$\{PULSELAKE_\w+}$)\S+", sources), [], "secrets come from the environment")

    def test_every_variable_of_the_environment_is_explained(self):
        for file in sorted(GRAFANA.glob("provisioning/*/*.yaml")):
            text = file.read_text()
            comments = "\n".join(line for line in text.splitlines() if line.startswith("#"))
            for variable in re.findall(r"\$\{(\w+)}", text):
                self.assertIn(f"  {variable} ", comments, file)


if __name__ == "__main__":
    unittest.main()
