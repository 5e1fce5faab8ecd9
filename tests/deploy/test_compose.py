"""Checks docker/ without a container engine: what is pinned, bounded and closed, that every file it mounts is there, and that the real program takes
its settings files and command lines."""

import json
import re
import shutil
import stat
import subprocess
import tempfile
import unittest
from pathlib import Path

import deployment
from deployment import DOCKER, PINNED, ROOT

FILES = ["compose.embedded.yaml", "compose.full.yaml"]
OURS = "pulselake:local"


class EveryComposeFile(unittest.TestCase):
    """What holds for each service of each file."""

    def each_service(self) -> list[tuple[str, dict]]:
        """Every service, with its file and name for messages."""
        return [(f"{file}: {name}", service) for file in FILES for name, service in deployment.compose(file)["services"].items()]

    def test_images_are_pinned_by_version_or_built_here(self):
        for label, service in self.each_service():
            if service["image"].endswith(":local"):
                # The service `events` runs an image that another one builds.
                continue
            with self.subTest(label):
                self.assertRegex(service["image"], PINNED)
                self.assertNotIn("build", service)

    def test_images_that_are_called_local_are_built_by_a_service(self):
        for file in FILES:
            services = deployment.compose(file)["services"].values()
            used = {service["image"] for service in services if service["image"].endswith(":local")}
            built = {service["image"] for service in services if "build" in service}
            self.assertEqual(used, built, file)

    def test_dockerfiles_are_there_and_their_bases_pinned(self):
        for path in [DOCKER / "Dockerfile", *DOCKER.glob("full/*.Dockerfile")]:
            stages = set()
            for instruction in deployment.dockerfile_instructions(path):
                base = re.match(r"FROM (\S+)(?: AS (\S+))?$", instruction)
                if not base:
                    continue
                with self.subTest(f"{path.name}: {instruction}"):
                    self.assertTrue(base[1] in stages or PINNED.search(base[1]))
                stages.add(base[2])
            self.assertTrue(stages, path)
        for label, service in self.each_service():
            build = service.get("build")
            if not build:
                continue
            with self.subTest(label):
                context = DOCKER / build["context"]
                self.assertTrue((context / build["dockerfile"]).is_file())
                if "target" in build:
                    text = (context / build["dockerfile"]).read_text(encoding="utf-8")
                    self.assertRegex(text, rf"(?m)^FROM \S+ AS {build['target']}$")

    def test_what_runs_has_a_health_check_and_everything_has_limits(self):
        for label, service in self.each_service():
            with self.subTest(label):
                if service["restart"] != "no":
                    self.assertTrue(service["healthcheck"]["test"])
                limits = service["deploy"]["resources"]["limits"]
                self.assertEqual(limits.keys(), {"cpus", "memory", "pids"})

    def test_nobody_has_more_rights_than_the_user_of_the_image(self):
        for label, service in self.each_service():
            with self.subTest(label):
                self.assertEqual(service["cap_drop"], ["ALL"])
                self.assertEqual(service["security_opt"], ["no-new-privileges:true"])
                self.assertNotIn("privileged", service)
                if not service["image"].startswith("postgres:"):
                    self.assertNotIn("cap_add", service)
                if service["image"] == OURS:
                    self.assertTrue(service["read_only"])

    def test_ports_are_published_on_loopback_alone_and_once(self):
        for file in FILES:
            ports = [port for service in deployment.compose(file)["services"].values() for port in service.get("ports", [])]
            self.assertTrue(ports)
            for port in ports:
                self.assertRegex(port, r"^127\.0\.0\.1:\d+:\d+$")
            self.assertEqual(len(ports), len({port.split(":")[1] for port in ports}), file)

    def test_what_is_mounted_is_there_and_can_not_be_written(self):
        for file in FILES:
            whole = deployment.compose(file)
            for name, service in whole["services"].items():
                for volume in service.get("volumes", []):
                    source, _, mode = (volume.split(":") + [""])[:3]
                    with self.subTest(f"{file}: {name}: {source}"):
                        if "/" in source:
                            self.assertTrue((DOCKER / source).exists())
                            self.assertIn("ro", mode.split(","))
                        else:
                            self.assertIn(source, whole["volumes"])

    def test_services_wait_for_services_that_there_are(self):
        for file in FILES:
            services = deployment.compose(file)["services"]
            for name, service in services.items():
                for other, condition in service.get("depends_on", {}).items():
                    with self.subTest(f"{file}: {name} → {other}"):
                        wanted = condition["condition"]
                        ends = services[other]["restart"] == "no"
                        self.assertEqual(wanted, "service_completed_successfully" if ends else "service_healthy")

    def test_only_who_has_a_port_here_is_in_the_open_network(self):
        services = deployment.compose("compose.full.yaml")["services"]
        for name, service in services.items():
            with self.subTest(name):
                self.assertEqual("front" in service.get("networks", []), "ports" in service)
        self.assertEqual(deployment.compose("compose.full.yaml")["networks"]["back"], {"internal": True})


class Secrets(unittest.TestCase):
    def test_the_script_makes_those_that_are_mounted_and_keeps_what_is_there(self):
        wanted = {name for file in FILES for name in deployment.compose(file)["secrets"]}
        with tempfile.TemporaryDirectory() as directory:
            script = shutil.copy(DOCKER / "make-secrets.sh", directory)
            subprocess.run([script], check=True, capture_output=True, timeout=300)
            made = Path(directory, "secrets")
            first = {path.name: path.read_text(encoding="ascii") for path in made.iterdir()}
            subprocess.run([script], check=True, capture_output=True, timeout=300)
            again = {path.name: path.read_text(encoding="ascii") for path in made.iterdir()}
            self.assertEqual(stat.S_IMODE(made.stat().st_mode), 0o700)
        # Its text is in the one that Airflow reads.
        self.assertEqual(first.keys() - {"airflow_admin_password"}, wanted)
        self.assertEqual(first, again)
        self.assertEqual(len(set(first.values())), len(first))
        for name, text in first.items():
            self.assertNotIn("\n", text, name)
            # Addresses to send alerts to have names with hyphens, and lead nowhere.
            self.assertTrue(len(text) >= 32 or "-" in name and text.startswith("http://127.0.0.1:1/"), name)
        self.assertEqual(json.loads(first["airflow_users"]), {"admin": first["airflow_admin_password"]})

    def test_each_service_has_those_that_its_settings_name(self):
        for file in FILES:
            whole = deployment.compose(file)
            for name, service in whole["services"].items():
                with self.subTest(f"{file}: {name}"):
                    mounted = set(service.get("secrets", []))
                    self.assertLessEqual(mounted, whole["secrets"].keys())
                    self.assertLessEqual(self.named_by(service), mounted)

    def named_by(self, service: dict) -> set[str]:
        """The secrets that a service's commands, variables and mounted files read."""
        texts = [json.dumps({key: value for key, value in service.items() if key != "secrets"})]
        for volume in service.get("volumes", []):
            source = (DOCKER / volume.split(":")[0]).resolve()
            files = [source]
            if source.is_dir():
                files = list(source.iterdir()) if ROOT in source.parents else []
            # What a connector's settings name, its worker reads.
            files = [path for path in files if path.is_file() and path.suffix != ".json"]
            texts += [path.read_text(encoding="utf-8") for path in files]
        if "build" in service and service["image"] == "pulselake-catalog:local":
            texts.append((DOCKER / "full/catalog.sh").read_text(encoding="utf-8"))
        text = "\n".join(texts)
        # A loop over services names them by their parts.
        loops = {f"{name}_password" for names in re.findall(r"for service in ([\w ]+);", text) for name in names.split()}
        return loops | set(re.findall(r"/run/secrets[/:]([\w-]+)", text)) | set(re.findall(r'secret\([\'"](\w+)[\'"]\)', text))


class OurPrograms(unittest.TestCase):
    """The real program reads what the containers give it."""

    def test_settings_files_are_right(self):
        files = ["embedded/pulselake.toml", "full/pulselake.toml", "full/lake.toml"]
        for file in files:
            with self.subTest(file):
                self.assertEqual(deployment.problem_of_settings(DOCKER / file, "/run/secrets"), "")

    def test_wrong_settings_would_be_noticed(self):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "wrong.toml")
            path.write_text("[lake]\ncatalogue_uri = 'x'\n", encoding="utf-8")
            self.assertIn("catalogue_uri", deployment.problem_of_settings(path, "/run/secrets"))

    def test_command_lines_are_taken(self):
        seen = 0
        for file in FILES:
            for name, service in deployment.compose(file)["services"].items():
                if service["image"] == OURS:
                    seen += 1
                    with self.subTest(f"{file}: {name}"):
                        self.assertEqual(deployment.problem_of_command(service["command"]), "")
        self.assertGreaterEqual(seen, 4)

    def test_wrong_command_lines_would_be_noticed(self):
        for wrong in (["run", "--bogus"], ["views", "apply", "--bogus"], ["generate", "--rate=fast"]):
            self.assertNotEqual(deployment.problem_of_command(wrong), "", wrong)

    def test_the_batch_finds_the_lake_of_the_engine(self):
        engine, batch = (deployment.settings(DOCKER / "full" / file) for file in ("pulselake.toml", "lake.toml"))
        self.assertEqual({key: engine[key] for key in ("lake", "s3")}, batch)

    def test_the_health_check_is_that_of_the_image(self):
        instructions = deployment.dockerfile_instructions(DOCKER / "Dockerfile")
        image = next(json.loads(line[line.index("CMD [") + 4 :]) for line in instructions if line.startswith("HEALTHCHECK"))
        for file in FILES:
            self.assertEqual(deployment.compose(file)["services"]["pulselake"]["healthcheck"]["test"], ["CMD", *image], file)

    def test_it_is_given_longer_to_end_than_it_takes(self):
        drain_ms = deployment.settings(ROOT / "config/pulselake.toml")["engine"]["drain_timeout_ms"]
        for file in FILES:
            grace = deployment.compose(file)["services"]["pulselake"]["stop_grace_period"]
            self.assertGreater(int(grace.removesuffix("s")) * 1_000, drain_ms, file)


class TheFullSet(unittest.TestCase):
    """Files of different programs that have to agree."""

    def setUp(self):
        self.services = deployment.compose("compose.full.yaml")["services"]
        self.engine = deployment.settings(DOCKER / "full/pulselake.toml")

    def test_every_topic_is_made(self):
        made = set(re.findall(r"([\w.]+):\d+", self.services["topics"]["command"][0].splitlines()[0]))
        cdc = self.engine["cdc"]
        wanted = {self.engine["source"]["topic"], cdc["videos_topic"], cdc["users_topic"], self.engine["decisions"]["actions_topic"]}
        self.assertEqual(made, wanted)

    def test_debezium_sends_to_the_topics_that_are_read(self):
        connector = json.loads((DOCKER / "full/debezium-connector.json").read_text(encoding="utf-8"))
        topics = {f"{connector['topic.prefix']}.{table}" for table in connector["table.include.list"].split(",")}
        cdc = self.engine["cdc"]
        self.assertEqual(topics, {cdc["videos_topic"], cdc["users_topic"]})
        self.assertEqual(connector["database.password"], f"${{directory:/run/secrets:{self.services['debezium']['secrets'][0]}}}")
        tables = (DOCKER / "full/source-database/1-tables.sql").read_text(encoding="utf-8")
        published = re.search(rf"CREATE PUBLICATION {connector['publication.name']} FOR TABLE ([\w., ]+);", tables)
        self.assertEqual(set(published[1].split(", ")), set(connector["table.include.list"].split(",")))

    def test_events_are_of_videos_and_users_in_the_database(self):
        flags = dict(flag.removeprefix("--").split("=") for flag in self.services["events"]["command"] if "=" in flag)
        tables = (DOCKER / "full/source-database/1-tables.sql").read_text(encoding="utf-8")
        self.assertEqual([flags["videos"], flags["users"]], re.findall(r"generate_series\(1, (\d+)\)", tables))

    def test_everybody_means_the_same_store_and_catalog(self):
        trino = dict(
            line.split("=", 1)
            for line in (DOCKER / "full/trino/lake.properties").read_text(encoding="utf-8").splitlines()
            if not line.startswith("#")
        )
        s3, catalog = self.engine["s3"], self.services["catalog"]["environment"]
        self.assertEqual(trino["iceberg.rest-catalog.uri"], self.engine["lake"]["catalog_uri"])
        self.assertEqual({trino["s3.endpoint"], catalog["CATALOG_S3_ENDPOINT"]}, {s3["endpoint"]})
        keys = {trino["s3.aws-access-key"], catalog["AWS_ACCESS_KEY_ID"], self.services["s3"]["environment"]["ROOT_ACCESS_KEY"]}
        self.assertEqual(keys, {s3["access_key_id"]})
        self.assertIn("/lake", " ".join(self.services["s3-bucket"]["entrypoint"]))
        self.assertTrue(catalog["CATALOG_WAREHOUSE"].startswith("s3://lake/"))

    def test_grafana_has_every_variable_that_it_fills_in(self):
        grafana = self.services["grafana"]
        used = {
            variable
            for path in (ROOT / "config/grafana/provisioning").rglob("*.yaml")
            for variable in re.findall(r": \$\{(\w+)\}", path.read_text(encoding="utf-8"))
        }
        self.assertTrue(used)
        self.assertLessEqual(used, grafana["environment"].keys())
        mounted = [volume.split(":")[1] for volume in grafana["volumes"]]
        self.assertIn(grafana["environment"]["PULSELAKE_DASHBOARDS"], mounted)

    def test_prometheus_has_the_jobs_that_the_rules_know_and_finds_them_here(self):
        ours, reference = (deployment.documents(path)[0] for path in (DOCKER / "full/prometheus.yml", ROOT / "config/prometheus/prometheus.yml"))
        jobs = [[scraped["job_name"] for scraped in file["scrape_configs"]] for file in (ours, reference)]
        self.assertEqual(*jobs)
        targets = [target for scraped in ours["scrape_configs"] for group in scraped["static_configs"] for target in group["targets"]]
        targets += [target for manager in ours["alerting"]["alertmanagers"] for group in manager["static_configs"] for target in group["targets"]]
        for target in targets:
            self.assertIn(target.split(":")[0], self.services.keys() | {"127.0.0.1"})


if __name__ == "__main__":
    unittest.main()
