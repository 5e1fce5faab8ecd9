"""Checks deploy/kubernetes without a cluster: that the manifests say what the engine does, that the real program takes its settings, that the
alerts are those of config/prometheus, and that each document fits Kubernetes' own schemas."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import kubernetes_validate
import yaml

import deployment
from deployment import KUBERNETES, PINNED, ROOT

BASE = KUBERNETES / "base"
SECRETS = "/run/secrets/pulselake"
SCHEMA_VERSION = "1.32"
"""Of Kubernetes, for its schemas."""


def resources(directory: Path) -> list[dict]:
    """The documents that a kustomization names."""
    kustomization = deployment.documents(directory / "kustomization.yaml")[0]
    return [document for name in kustomization["resources"] for document in deployment.documents(directory / name)]


def one(kind: str, name: str = "pulselake") -> dict:
    """The resource of that kind and name."""
    (found,) = [document for document in resources(BASE) if (document["kind"], document["metadata"]["name"]) == (kind, name)]
    return found


class Manifests(unittest.TestCase):
    def setUp(self):
        self.engine = one("StatefulSet")
        self.batch = one("CronJob", "pulselake-daily")["spec"]["jobTemplate"]["spec"]["template"]
        self.pods = [self.engine["spec"]["template"]["spec"], self.batch["spec"]]
        self.containers = [container for pod in self.pods for container in pod["containers"]]

    def test_every_file_belongs_to_a_kustomization(self):
        for directory in (BASE, KUBERNETES / "monitoring"):
            named = set(deployment.documents(directory / "kustomization.yaml")[0]["resources"])
            self.assertEqual(named | {"kustomization.yaml"}, {path.name for path in directory.glob("*.yaml")})

    def test_nobody_has_rights(self):
        for pod in self.pods:
            self.assertFalse(pod["automountServiceAccountToken"])
            self.assertTrue(pod["securityContext"]["runAsNonRoot"])
            self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
        for container in self.containers:
            expected = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
            self.assertEqual(container["securityContext"], expected)

    def test_the_user_is_that_of_the_image(self):
        instructions = deployment.dockerfile_instructions(deployment.DOCKER / "Dockerfile")
        (user,) = [line.removeprefix("USER ").split(":")[0] for line in instructions if line.startswith("USER ")]
        for pod in self.pods:
            self.assertEqual(str(pod["securityContext"]["runAsUser"]), user)

    def test_images_are_pinned_and_one(self):
        (image,) = {container["image"] for container in self.containers}
        self.assertRegex(image, PINNED)

    def test_what_is_asked_for_is_bounded(self):
        for container in self.containers:
            for kind in ("requests", "limits"):
                self.assertEqual(container["resources"][kind].keys(), {"cpu", "memory", "ephemeral-storage"})

    def test_probes_ask_what_the_engine_answers(self):
        described = (ROOT / "crates/api/src/watch.rs").read_text(encoding="utf-8")
        port = deployment.settings(BASE / "config/pulselake.toml")["http"]["bind"].rsplit(":", 1)[1]
        (container,) = self.engine["spec"]["template"]["spec"]["containers"]
        self.assertEqual(container["ports"], [{"name": "http", "containerPort": int(port)}])
        paths = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
        for probe, path in paths.items():
            self.assertEqual(container[probe]["httpGet"], {"path": path, "port": "http"})
            self.assertIn(f'path = "{path}"', described)

    def test_it_has_time_to_start_and_to_end(self):
        defaults = deployment.settings(ROOT / "config/pulselake.toml")
        startup = self.engine["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
        to_start_ms = startup["periodSeconds"] * startup["failureThreshold"] * 1_000
        self.assertGreater(to_start_ms, 2 * (defaults["lake"]["connect_timeout_ms"] + defaults["kafka"]["connect_timeout_ms"]))
        to_end_ms = self.engine["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] * 1_000
        self.assertGreater(to_end_ms, defaults["engine"]["drain_timeout_ms"] + defaults["kafka"]["revoke_timeout_ms"])

    def test_selectors_find_pods(self):
        labels = self.engine["spec"]["template"]["metadata"]["labels"]
        self.assertEqual(self.engine["spec"]["selector"]["matchLabels"], labels)
        self.assertEqual(one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"], labels)
        for name in ("pulselake", "pulselake-members"):
            self.assertEqual(one("Service", name)["spec"]["selector"], labels)
        policy = one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
        for pod_labels in (labels, self.batch["metadata"]["labels"]):
            self.assertLessEqual(policy.items(), pod_labels.items())

    def test_the_number_of_pods_is_said_twice_and_alike(self):
        container = self.engine["spec"]["template"]["spec"]["containers"][0]
        self.assertEqual(container["env"][1], {"name": "REPLICAS", "value": str(self.engine["spec"]["replicas"])})
        example = deployment.documents(KUBERNETES / "example/kustomization.yaml")[0]
        (patch,) = [patch["patch"] for patch in example["patches"] if patch["target"]["kind"] == "StatefulSet"]
        values = {change["path"]: change["value"] for change in yaml.safe_load(patch)}
        replicas = values.pop("/spec/replicas")
        self.assertEqual(values, {"/spec/template/spec/containers/0/env/1/value": str(replicas)})

    def test_where_it_calls_out_is_let_out(self):
        rules = one("NetworkPolicy")["spec"]["egress"]
        let_out = {port["port"] for rule in rules if "to" not in rule for port in rule["ports"]}
        for directory in (BASE / "config", KUBERNETES / "example"):
            settings = deployment.settings(directory / "pulselake.toml")
            addresses = [f"kafka://{broker}" for broker in settings["kafka"]["brokers"].split(",")] + [settings["lake"]["catalog_uri"]]
            for address in addresses:
                scheme, _, rest = address.partition("://")
                host = rest.split("/")[0]
                port = int(host.rsplit(":", 1)[1]) if ":" in host else {"http": 80, "https": 443}[scheme]
                self.assertIn(port, let_out, address)

    def test_they_keep_to_kubernetes_schemas(self):
        for document in resources(BASE):
            with self.subTest(document["kind"]):
                kubernetes_validate.validate(document, SCHEMA_VERSION, strict=True)


class Settings(unittest.TestCase):
    """The real program reads what the pods give it."""

    def test_settings_files_are_right(self):
        for path in [*BASE.glob("config/*.toml"), *KUBERNETES.glob("example/*.toml")]:
            with self.subTest(path.relative_to(KUBERNETES)):
                self.assertEqual(deployment.problem_of_settings(path, SECRETS), "")

    def test_the_batch_finds_the_lake_of_the_engine(self):
        for directory in (BASE / "config", KUBERNETES / "example"):
            engine, batch = (deployment.settings(directory / name) for name in ("pulselake.toml", "lake.toml"))
            self.assertEqual({key: engine[key] for key in ("lake", "rest", "s3", "log")}, batch)

    def test_secrets_are_those_that_the_document_makes(self):
        document = (ROOT / "docs/deployment.md").read_text(encoding="utf-8")
        made = {word.removeprefix("--from-file=") for word in document.split() if word.startswith("--from-file=")}
        self.assertEqual(deployment.secrets_in(BASE / "config/pulselake.toml", SECRETS), made)
        secrets = next(volume["secret"] for volume in one_batch_pod()["volumes"] if volume["name"] == "secrets")
        given = {item["key"] for item in secrets["items"]}
        self.assertEqual(deployment.secrets_in(BASE / "config/lake.toml", SECRETS), given)

    def test_a_pod_starts_under_its_name_and_knows_the_others(self):
        cases = [
            ("pulselake-1", "3", "http://pulselake-0.pulselake-members:9464,http://pulselake-2.pulselake-members:9464"),
            ("pulselake-0", "1", "[]"),
        ]
        for pod, replicas, peers in cases:
            with self.subTest(pod), tempfile.TemporaryDirectory() as directory:
                stand_in = Path(directory, "pulselake")
                stand_in.write_text('#!/bin/sh\necho "$*"; env | grep ^PULSELAKE_ | sort\n', encoding="ascii")
                stand_in.chmod(0o755)
                environment = {"PATH": f"{directory}:{os.environ['PATH']}", "POD_NAME": pod, "REPLICAS": replicas}
                started = subprocess.run(
                    ["sh", BASE / "config/start.sh"], env=environment, check=True, capture_output=True, text=True, timeout=300
                )
                self.assertEqual(
                    started.stdout.splitlines(), ["run", f"PULSELAKE_HTTP__PEERS={peers}", f"PULSELAKE_KAFKA__GROUP_INSTANCE_ID={pod}"]
                )
                shown = deployment.run(["config", "print"], PULSELAKE_HTTP__PEERS=peers)
                self.assertEqual(shown.returncode, 0, shown.stderr)
                wanted = [] if peers == "[]" else peers.split(",")
                self.assertEqual(deployment.tomllib.loads(shown.stdout)["http"]["peers"], wanted)

    def test_the_batch_is_a_command_line_that_is_taken(self):
        (container,) = one_batch_pod()["containers"]
        self.assertEqual(container["command"], ["sh", "-euc"])
        (line,) = container["args"]
        environment = os.environ | {"PATH": f"{deployment.program().parent}:{os.environ['PATH']}"}
        ended = subprocess.run(["sh", "-euc", f"{line} --help"], env=environment, capture_output=True, text=True, timeout=300)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertIn("Usage: pulselake-query batch run", ended.stdout)


def one_batch_pod() -> dict:
    """What a run of the daily batch is."""
    return one("CronJob", "pulselake-daily")["spec"]["jobTemplate"]["spec"]["template"]["spec"]


class Monitoring(unittest.TestCase):
    def setUp(self):
        sys.path.insert(0, str(KUBERNETES))
        self.addCleanup(sys.path.remove, str(KUBERNETES))

    def test_alerts_are_those_of_prometheus(self):
        from make_prometheus_rule import TARGET, prometheus_rule

        self.assertEqual(TARGET.read_text(encoding="utf-8"), prometheus_rule(), "run deploy/kubernetes/make_prometheus_rule.py")

    def test_every_rule_is_in_it_once(self):
        from make_prometheus_rule import RULES

        def names(groups):
            return sorted(rule.get("alert") or rule["record"] for group in groups for rule in group["rules"])

        (manifest,) = deployment.documents(KUBERNETES / "monitoring/prometheus-rule.yaml")
        groups = manifest["spec"]["groups"]
        self.assertEqual(len(groups), len({group["name"] for group in groups}))
        sources = [group for path in RULES.glob("*.yml") for group in deployment.documents(path)[0]["groups"]]
        self.assertEqual(names(groups), names(sources))
        self.assertTrue(names(groups))

    def test_what_is_scraped_is_a_port_of_a_service_under_the_name_that_rules_know(self):
        (monitor,) = deployment.documents(KUBERNETES / "monitoring/service-monitor.yaml")
        labels = monitor["spec"]["selector"]["matchLabels"]
        services = [document for document in resources(BASE) if document["kind"] == "Service"]
        (service,) = [service for service in services if labels.items() <= service["metadata"]["labels"].items()]
        (endpoint,) = monitor["spec"]["endpoints"]
        self.assertIn(endpoint["port"], [port["name"] for port in service["spec"]["ports"]])
        self.assertEqual(service["metadata"]["labels"][monitor["spec"]["jobLabel"]], "pulselake")
        reference = deployment.documents(ROOT / "config/prometheus/prometheus.yml")[0]
        self.assertIn("pulselake", [job["job_name"] for job in reference["scrape_configs"]])
        token = endpoint["authorization"]["credentials"]
        settings = deployment.settings(BASE / "config/pulselake.toml")
        self.assertEqual(f"/run/secrets/{token['name']}/{token['key']}", settings["http"]["token_file"])


if __name__ == "__main__":
    unittest.main()
