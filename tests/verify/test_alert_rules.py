"""Tests of what watches the engine: config/prometheus, config/alertmanager, docs/runbooks.

promtool and amtool check and try the files; the rest holds them together: every metric that a rule names is one of the engine's,
every alert is tried in both directions, goes to its team, and has a page that says what to do.
"""

import re
import subprocess
import sys
import tempfile
import unittest
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "grafana"))
import what_there_is  # noqa: E402

PROMETHEUS = ROOT / "config" / "prometheus"
ALERTMANAGER = ROOT / "config" / "alertmanager" / "alertmanager.yml"
RUNBOOKS = ROOT / "docs" / "runbooks"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))

# What each page of a runbook tells, in this order.
SECTIONS = ["What it means", "How to see it", "What to do", "When it is over", "When to escalate"]
# Series that are not ours: Prometheus' own, and node_exporter's.
FOREIGN = {
    "up",
    "node_filesystem_avail_bytes",
    "node_filesystem_size_bytes",
    "node_textfile_mtime_seconds",
    "node_textfile_scrape_error",
}


@cache
def programs() -> Path:
    """Where setup.sh found promtool and amtool."""
    script = f'. "{ROOT}/tests/tools/lib.sh"; prometheus_bin'
    found = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    if not found:
        raise AssertionError("there is no Prometheus: run tests/tools/setup.sh")
    return Path(found)


def run(program: str, *arguments: object) -> str:
    """Runs one of the programs; fails with what it says."""
    done = subprocess.run([programs() / program, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{program} {arguments}:\n{done.stdout}{done.stderr}")
    return done.stdout


def alerts() -> dict[str, dict[str, str]]:
    """Labels, annotations and `expr` of each alert. The files have one form, which is simpler to read than YAML is."""
    found: dict[str, dict[str, str]] = {}
    for path in RULES:
        for block in re.split(r"^      - alert: ", path.read_text(), flags=re.M)[1:]:
            name, _, rest = block.partition("\n")
            # The next group begins where the indentation ends.
            rest = re.split(r"^(?:  - |groups:)", rest, maxsplit=1, flags=re.M)[0]
            if name in found:
                raise AssertionError(f"{name} is there twice")
            found[name] = dict(re.findall(r"^ {10}(\w+): (.+)$", rest, flags=re.M))
            found[name]["expr"] = rest.partition("expr:")[2].partition("\n        labels:")[0]
    return found


def recorded() -> set[str]:
    """Names of recording rules."""
    return what_there_is.rules("record")


def series_in(text: str) -> set[str]:
    """Names in expressions that look like metrics or recorded series."""
    without_comments = re.sub(r"#.*", "", text)
    names = set(re.findall(r"[a-z][a-z0-9_]*(?::[a-z0-9_]+)+|\bpulselake_[a-z0-9_]+|\bnode_[a-z0-9_]+|\bup\b", without_comments))
    # Those with colons were found as wholes.
    return {name for name in names if ":" in name or not any(f":{name}:" in whole for whole in names)}


def engine_metrics() -> set[str]:
    """What the engine and the batch can show."""
    return set(what_there_is.of_the_engine()) | set(what_there_is.of_batch_jobs())


class Rules(unittest.TestCase):
    """config/prometheus."""

    def test_prometheus_takes_them(self):
        self.assertIn("SUCCESS", run("promtool", "check", "config", PROMETHEUS / "prometheus.yml"))

    def test_they_fire_when_they_should_and_only_then(self):
        self.assertNotIn("FAILED", run("promtool", "test", "rules", *TESTS))

    def test_every_alert_is_tried_in_both_directions(self):
        text = "\n".join(path.read_text() for path in TESTS)
        for name in alerts():
            with self.subTest(name):
                self.assertRegex(text, rf"alertname: {name}\n +exp_alerts: \[\]")
                self.assertRegex(text, rf"alertname: {name}\n +exp_alerts:\n +- exp_labels")

    def test_every_metric_is_one_that_is_there(self):
        known = engine_metrics() | recorded() | FOREIGN
        for path in RULES:
            with self.subTest(path.name):
                self.assertEqual(series_in(path.read_text()) - known, set())

    def test_what_is_recorded_is_of_use(self):
        used = set().union(*(series_in(alert["expr"]) for alert in alerts().values()))
        exported = {"job:pulselake_freshness_budget:remaining_ratio", "job:pulselake_late_gold:ratio_rate30d"}
        self.assertEqual(recorded() - used, exported, "for dashboards alone")

    def test_a_wrong_name_would_be_found(self):
        self.assertEqual(series_in("sum(rate(pulselake_no_such_total[5m])) > a:b:c # pulselake_x"), {"pulselake_no_such_total", "a:b:c"})

    def test_every_alert_says_how_urgent_it_is_whose_and_what_to_do(self):
        for name, alert in alerts().items():
            with self.subTest(name):
                self.assertIn(alert["severity"], {"critical", "warning"})
                self.assertIn(alert["team"], {"streaming", "content", "data"})
                self.assertTrue(alert["component"] and alert["summary"] and alert["description"])
                self.assertEqual(alert["runbook_url"], f"https://pulselake.example/runbooks/{name}.html")


class Routes(unittest.TestCase):
    """config/alertmanager."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.file = Path(directory.name) / "alertmanager.yml"
        text = ALERTMANAGER.read_text()
        # Alertmanager 0.25, which Debian 12 has, knows only `url`.
        self.file.write_text(re.sub(r"url_file: /run/secrets/(\S+)", r"url: http://127.0.0.1:1/\1", text))

    def test_alertmanager_takes_it(self):
        self.assertIn("SUCCESS", run("amtool", "check-config", self.file))

    def test_no_url_is_in_the_file(self):
        text = re.sub(r"#.*", "", ALERTMANAGER.read_text())
        self.assertNotRegex(text, r"https?://|\burl:")

    def test_every_alert_goes_to_its_team_by_its_urgency(self):
        for name, alert in alerts().items():
            with self.subTest(name):
                urgency = "on-call" if alert["severity"] == "critical" else "channel"
                labels = [f"{key}={alert[key]}" for key in ("severity", "team", "component")]
                route = ["config", "routes", "test", f"--config.file={self.file}", f"--verify.receivers={alert['team']}-{urgency}"]
                run("amtool", *route, f"alertname={name}", *labels)

    def test_what_is_inhibited_exists(self):
        components = {alert["component"] for alert in alerts().values()}
        for names in re.findall(r'component =~ "([\w|]+)"', ALERTMANAGER.read_text()):
            self.assertLessEqual(set(names.split("|")), components)
        named = set(re.findall(r"alertname = (\w+)", ALERTMANAGER.read_text()))
        self.assertIn("PulselakeGoldStale", named)
        self.assertLessEqual(named, set(alerts()))

    def test_causes_are_never_inhibited_by_their_consequence(self):
        targets = re.findall(r"source_matchers: \[alertname = PulselakeGoldStale\]\n +target_matchers: (.+)", ALERTMANAGER.read_text())
        self.assertTrue(targets)
        for component in ("process", "loss", "disk", "quarantine", "reconciliation"):
            self.assertFalse([target for target in targets if component in target], component)


class Runbooks(unittest.TestCase):
    """docs/runbooks."""

    def pages(self) -> dict[str, str]:
        return {path.stem: path.read_text() for path in RUNBOOKS.glob("Pulselake*.md")}

    def test_every_alert_has_a_page_and_every_page_an_alert(self):
        self.assertEqual(set(self.pages()), set(alerts()))

    def test_the_index_has_every_page(self):
        linked = set(re.findall(r"\]\((Pulselake\w+)\.md\)", (RUNBOOKS / "index.md").read_text()))
        self.assertEqual(linked, set(alerts()))

    def test_every_page_tells_the_same_things_in_the_same_order(self):
        for name, page in self.pages().items():
            with self.subTest(name):
                self.assertTrue(page.startswith(f"# {name}\n"))
                self.assertEqual(re.findall(r"^## (.+)$", page, flags=re.M), SECTIONS)

    def test_every_metric_that_a_page_names_is_there(self):
        known = engine_metrics() | recorded() | FOREIGN
        histograms = {name.removesuffix("_count") for name in known}
        for name, page in self.pages().items():
            code = "\n".join(re.findall(r"```promql\n(.*?)```", page, flags=re.S) + re.findall(r"`(pulselake_[^`]*)`", page))
            self.assertEqual(series_in(code) - known - histograms, set(), name)

    def test_every_link_leads_somewhere(self):
        for path in RUNBOOKS.glob("*.md"):
            for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
                self.assertTrue((path.parent / target).exists(), f"{path.name}: {target}")


if __name__ == "__main__":
    unittest.main()
