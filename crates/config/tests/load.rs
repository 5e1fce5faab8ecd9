//! Precedence, error messages, masking.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use pulselake_config::{
    ConfigError, LoadOptions, LogLevel, MASK, OnDataLoss, Override, Settings, SourceKind, load,
};
use tempfile::TempDir;

struct Case {
    directory: TempDir,
    options: LoadOptions,
}

impl Case {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), options: LoadOptions::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn file(mut self, text: &str) -> Self {
        let path = self.path("my.toml");
        std::fs::write(&path, text).unwrap();
        self.options.file = Some(path);
        self
    }

    fn secret_file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.path(name), text).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.options.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn flag(mut self, given: Override) -> Self {
        self.options.overrides.push(given);
        self
    }

    fn settings(&self) -> Settings {
        load(&self.options).unwrap_or_else(|error| panic!("{error}"))
    }

    fn error(&self) -> String {
        load(&self.options).unwrap_err().to_string()
    }
}

#[track_caller]
fn assert_says(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in:\n{error}");
    }
}

#[test]
fn each_layer_overrides_the_one_before() {
    let file = "[engine]\nshards = 1\nbatch_records = 10\nmailbox_batches = 3\n";
    let case = Case::new()
        .file(file)
        .variable("PULSELAKE_ENGINE__SHARDS", "2")
        .variable("PULSELAKE_ENGINE__BATCH_RECORDS", "20")
        .flag(Override::text("engine.shards", "3", "--shards"));
    let engine = case.settings().engine;
    assert_eq!((engine.shards, engine.batch_records, engine.mailbox_batches), (3, 20, 3));
    assert_eq!(engine.batch_bytes, Settings::default().engine.batch_bytes);
}

#[test]
fn variables_and_flags_are_read_as_what_the_setting_needs() {
    let settings = Case::new()
        .variable("PULSELAKE_SOURCE__TOPIC", "2026")
        .variable("PULSELAKE_KAFKA__GROUP_ID", "true")
        .variable("PULSELAKE_HTTP__TOKEN", "12345")
        .variable("PULSELAKE_GENERATOR__LATE_RATIO", "0")
        .variable("PULSELAKE_FILES__PATHS", "a.ndjson, b.ndjson.gz")
        .variable("PULSELAKE_KAFKA__ON_DATA_LOSS", "continue")
        .variable("PULSELAKE_WINDOWS__DEDUP_MAX_IDS", "1_000")
        .flag(Override::parse("log.level=debug").unwrap())
        .flag(Override::parse("kafka.librdkafka.client.id=a=b").unwrap())
        .settings();
    assert_eq!(settings.source.topic, "2026");
    assert_eq!(settings.kafka.group_id, "true");
    assert_eq!(settings.http.token.expose(), "12345");
    assert_eq!(settings.generator.late_ratio, 0.0);
    assert_eq!(settings.files.paths, ["a.ndjson", "b.ndjson.gz"]);
    assert_eq!(settings.kafka.on_data_loss, OnDataLoss::Continue);
    assert_eq!(settings.windows.dedup_max_ids, 1_000);
    assert_eq!(settings.log.level, LogLevel::Debug);
    assert_eq!(settings.kafka.librdkafka.get("client.id"), Some("a=b"));
}

#[test]
fn a_flag_gives_a_list_as_it_stands() {
    let paths = vec!["a,b.ndjson".to_owned(), "[c].ndjson".to_owned()];
    let case = Case::new().flag(Override::list("files.paths", paths.clone(), "--files"));
    assert_eq!(case.settings().files.paths, paths);
}

#[test]
fn scenarios_are_read_from_files_variables_and_flags() {
    let late = "late_events:start_s=60,length_s=600";
    let texts = |case: Case| {
        let scenarios = case.settings().generator.scenarios;
        scenarios.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let canonical =
        ["late_events:start_s=60,length_s=600,strength=1", "hot_partition:start_s=0,length_s=0,strength=1"];
    let list = format!("[\"{late}\", \"hot_partition\"]");
    assert_eq!(texts(Case::new().file(&format!("[generator]\nscenarios = {list}\n"))), canonical);
    assert_eq!(texts(Case::new().variable("PULSELAKE_GENERATOR__SCENARIOS", &list)), canonical);
    let flag = Override::parse(&format!("generator.scenarios={list}")).unwrap();
    assert_eq!(texts(Case::new().flag(flag)), canonical);
    // One alone needs no brackets: its commas are its own.
    assert_eq!(texts(Case::new().variable("PULSELAKE_GENERATOR__SCENARIOS", late)), canonical[..1]);
    assert!(texts(Case::new().variable("PULSELAKE_GENERATOR__SCENARIOS", "")).is_empty());
}

#[test]
fn a_wrong_scenario_is_named_with_what_is_allowed() {
    let error = Case::new().file("[generator]\nscenarios = [\"duplicates\", \"late:start_s=1\"]\n").error();
    assert_says(
        &error,
        &[
            "generator.scenarios",
            "\"late:start_s=1\"",
            "allowed are normal_baseline",
            "late_events:start_s=60",
        ],
    );
    let no_list = Case::new().file("[generator]\nscenarios = \"duplicates\"\n").error();
    assert_says(
        &no_list,
        &["generator.scenarios", "found \"duplicates\", allowed is a list of at most 64 texts"],
    );
    let strong = Case::new().variable("PULSELAKE_GENERATOR__SCENARIOS", "duplicates:strength=0").error();
    assert_says(&strong, &["generator.scenarios", "must be above 0 and at most 100"]);
}

#[test]
fn librdkafka_properties_merge_over_all_layers_and_spellings() {
    let file = "[kafka.librdkafka]\nsecurity.protocol = \"SSL\"\n\"fetch.wait.max.ms\" = 50\nenable.ssl.certificate.verification = true\n";
    let settings = Case::new()
        .file(file)
        .variable("PULSELAKE_KAFKA__LIBRDKAFKA__SECURITY_PROTOCOL", "SASL_SSL")
        .variable("PULSELAKE_KAFKA__LIBRDKAFKA__SASL_USERNAME", "me")
        .settings();
    let properties: Vec<(&str, &str)> = settings.kafka.librdkafka.iter().collect();
    let expected = [
        ("enable.ssl.certificate.verification", "true"),
        ("fetch.wait.max.ms", "50"),
        ("sasl.username", "me"),
        ("security.protocol", "SASL_SSL"),
    ];
    assert_eq!(properties, expected);
}

#[test]
fn an_error_names_key_place_value_and_what_is_allowed() {
    let error = Case::new().file("[engine]\n# how many\nbatch_records = 0\n").error();
    assert_says(
        &error,
        &["engine.batch_records", "my.toml, line 3", "found 0", "an integer from 1 to 1048576 (records)"],
    );

    let error = Case::new().variable("PULSELAKE_ENGINE__SHARDS", "many").error();
    assert_says(
        &error,
        &["engine.shards", "environment variable PULSELAKE_ENGINE__SHARDS", "found \"many\"", "0 to 1024"],
    );

    let error = Case::new().flag(Override::text("source.topic", "a b", "--topic")).error();
    assert_says(&error, &["source.topic", "flag --topic", "found \"a b\"", "letters, digits"]);

    let error = Case::new().flag(Override::parse("source.kind=pulsar").unwrap()).error();
    assert_says(&error, &["source.kind", "flag --set source.kind", "\"generator\" | \"kafka\" | \"files\""]);
}

#[test]
fn an_unknown_setting_gets_the_nearest_name() {
    let error = Case::new().file("[engine]\nshard = 1\n").error();
    assert_says(
        &error,
        &["engine.shard ", "line 2", "did you mean engine.shards?", "allowed in [engine] are shards, "],
    );
    let error = Case::new().file("[source]\nbrokers = \"a:1\"\n").error();
    assert_says(&error, &["source.brokers", "did you mean kafka.brokers?"]);
    let error = Case::new().file("[kafak]\nx = 1\n").error();
    assert_says(&error, &["kafak.x", "the sections are source, kafka, "]);
    let error = Case::new().file("[sauce]\n").error();
    assert_says(&error, &["sauce ", "no such setting"]);
    let error = Case::new().file("shards = 1\n").error();
    assert_says(&error, &["did you mean engine.shards?"]);
    let error = Case::new().file("kafka.brokers.first = \"a:1\"\n").error();
    assert_says(&error, &["kafka.brokers.first", "no such setting"]);
}

#[test]
fn a_variable_with_one_underscore_is_a_mistake_and_a_foreign_one_is_not() {
    let error = Case::new().variable("PULSELAKE_KAFKA_BROKERS", "a:1").error();
    assert_says(&error, &["PULSELAKE_KAFKA_BROKERS", "PULSELAKE_KAFKA__BROKERS"]);
    let foreign = Case::new()
        .variable("PULSELAKE_SERVICE_HOST", "10.0.0.1")
        .variable("PULSELAKE_PORT", "tcp://10.0.0.1:9464")
        .variable("PULSELAKE_CONFIG", "x.toml")
        .settings();
    assert_eq!(foreign, Settings::default());
}

#[test]
fn all_problems_come_at_once() {
    let case = Case::new()
        .file("[bronze]\nzstd_level = 50\n[gold]\nwait = 1\n[http]\nbind = \"0.0.0.0:1\"\n")
        .variable("PULSELAKE_LAKE__FSYNC", "perhaps")
        .flag(Override::text("source.kind", "kafka", "--source"));
    let ConfigError::Invalid(problems) = load(&case.options).unwrap_err() else { panic!("expected Invalid") };
    let mut keys: Vec<&str> = problems.0.iter().map(|problem| problem.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["bronze.zstd_level", "gold.wait", "http.bind", "kafka.brokers", "lake.fsync"]);
    assert!(problems.0.iter().all(|problem| problem.origin.is_some()), "{problems}");
}

#[test]
fn a_wrong_setting_makes_no_second_problem() {
    let case =
        Case::new().flag(Override::text("source.kind", "files", "--source")).file("[files]\npaths = 3\n");
    let error = case.error();
    assert_says(&error, &["files.paths", "found 3, allowed is a list of texts"]);
    assert_eq!(error.matches("files.paths").count(), 1, "{error}");
}

#[test]
fn a_file_that_cant_be_read_or_parsed_is_named() {
    let mut case = Case::new();
    case.options.file = Some(case.path("absent.toml"));
    assert_says(&case.error(), &["absent.toml", "can't read the settings file"]);
    let error = Case::new().file("[http]\ntoken = \"hunter2\n").error();
    assert_says(&error, &["my.toml, line 2", "not valid TOML"]);
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn promises_cant_be_switched_off_by_librdkafka_properties() {
    for name in [
        "auto.offset.reset",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "group.id",
        "bootstrap.servers",
    ] {
        let error = Case::new().file(&format!("[kafka.librdkafka]\n{name} = \"x\"\n")).error();
        assert_says(&error, &[&format!("kafka.librdkafka.{name}"), "line 2", "can't be set here"]);
    }
}

#[test]
fn no_output_shows_a_secret() {
    let settings = Case::new()
        .file("[http]\ntoken = \"hunter2\"\n[lake]\ncatalog_uri = \"postgres://me:hunter2@db/lake\"\n")
        .variable("PULSELAKE_KAFKA__LIBRDKAFKA__SASL_PASSWORD", "hunter2")
        .variable("PULSELAKE_KAFKA__LIBRDKAFKA__SSL_KEY_PASSWORD", "hunter2")
        .settings();
    let shown =
        format!("{settings:?}{settings:#?}{:?}{:?}{:?}", settings.http, settings.lake, settings.kafka);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_says(&shown, &["postgres://me:***@db/lake", &format!("token = \"{MASK}\"")]);
    assert_eq!(settings.kafka.librdkafka.get("sasl.password"), Some("hunter2"));
}

#[test]
fn no_error_shows_a_secret() {
    let error = Case::new()
        .file("[kafka.librdkafka]\nsasl.password = [\"hunter2\"]\n[lake]\ncatalog_uri = \"mysql://me:hunter2@db/lake\"\n")
        .variable("PULSELAKE_HTTP__TOKEN", "hunter2 with spaces")
        .error();
    assert!(!error.contains("hunter2"), "{error}");
    assert_says(&error, &["sasl.password", "lake.catalog_uri", "http.token"]);
    let number = Case::new().file("[http]\ntoken = 12345\n").error();
    assert!(!number.contains("12345"), "{number}");
}

#[test]
fn secrets_come_from_files() {
    let case = Case::new().secret_file("token", "hunter2\n").secret_file("kafka", "hunter3\r\n");
    let (token, kafka) = (case.path("token"), case.path("kafka"));
    let settings = case
        .file(&format!(
            "[http]\ntoken_file = {token:?}\n[kafka.librdkafka]\nsasl.password_file = {kafka:?}\n"
        ))
        .settings();
    assert_eq!(settings.http.token.expose(), "hunter2");
    assert_eq!(settings.kafka.librdkafka.get("sasl.password"), Some("hunter3"));
    assert_eq!(settings.kafka.librdkafka.get("sasl.password_file"), None);
    assert!(!settings.to_masked_toml().contains("hunter"));

    let by_variable = Case::new().secret_file("kafka", "hunter3");
    let path = by_variable.path("kafka").display().to_string();
    let settings = by_variable.variable("PULSELAKE_KAFKA__LIBRDKAFKA__SASL_PASSWORD_FILE", &path).settings();
    assert_eq!(settings.kafka.librdkafka.get("sasl.password"), Some("hunter3"));
}

#[test]
fn the_schema_registrys_password_comes_from_a_file_or_a_variable_and_is_not_shown() {
    let case = Case::new().secret_file("registry", "hunter2\n").flag(Override::text(
        "cdc.schema_registry_user",
        "me",
        "--set",
    ));
    let path = case.path("registry");
    let file = case.file(&format!("[cdc]\nschema_registry_password_file = {path:?}\n")).settings();
    let variable = Case::new()
        .file("[cdc]\nschema_registry_user = \"me\"\n")
        .variable("PULSELAKE_CDC__SCHEMA_REGISTRY_PASSWORD", "hunter2")
        .settings();
    for settings in [file, variable] {
        assert_eq!(settings.cdc.schema_registry_password.expose(), "hunter2");
        let shown = format!("{settings:?}{}", settings.to_masked_toml());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let error = Case::new()
        .variable("PULSELAKE_CDC__SCHEMA_REGISTRY_PASSWORD", "hunter2")
        .flag(Override::text("cdc.schema_registry_url", "http://me:hunter3@registry", "--set"))
        .error();
    assert_says(&error, &["cdc.schema_registry_url", "me:***@registry", "cdc.schema_registry_user"]);
    assert!(!error.contains("hunter"), "{error}");
}

#[test]
fn a_registrys_url_is_one_of_http() {
    for url in ["http://registry:8081", "https://registry/apis/ccompat/v7/", ""] {
        let settings = Case::new().flag(Override::text("cdc.schema_registry_url", url, "--set")).settings();
        assert_eq!(settings.cdc.schema_registry_url, url);
    }
    for url in
        ["registry:8081", "http://", "http:///path", "http://a b", "http://registry?x=1", "ftp://registry"]
    {
        let error = Case::new().flag(Override::text("cdc.schema_registry_url", url, "--set")).error();
        assert_says(&error, &["cdc.schema_registry_url", "http://…"]);
    }
}

#[test]
fn a_secret_file_that_does_not_serve_is_named_with_its_setting() {
    let error = Case::new().file("[http]\ntoken_file = \"/nonexistent/token\"\n").error();
    assert_says(&error, &["http.token_file", "my.toml, line 2", "/nonexistent/token"]);
    let both = Case::new().secret_file("token", "a");
    let path = both.path("token");
    let error = both.file(&format!("[http]\ntoken_file = {path:?}\ntoken = \"b\"\n")).error();
    assert_says(&error, &["http.token_file", "http.token is set too"]);
    let bad = Case::new().secret_file("token", "two words\n");
    let path = bad.path("token");
    let error = bad.file(&format!("[http]\ntoken_file = {path:?}\n")).error();
    assert_says(&error, &["http.token (", "my.toml, line 2", "visible ASCII"]);
    assert!(!error.contains("two words"), "{error}");
}

#[test]
fn a_printed_mask_is_not_taken_for_the_secret() {
    let printed = Case::new().file("[http]\ntoken = \"hunter2\"\n").settings().to_masked_toml();
    assert_says(&Case::new().file(&printed).error(), &["http.token", "masked secret"]);
}

#[test]
fn what_is_printed_loads_to_the_same() {
    let settings = Case::new()
        .flag(Override::text("source.kind", "kafka", "--source"))
        .flag(Override::text("kafka.brokers", "a:1,b:2", "--brokers"))
        .flag(Override::parse("kafka.librdkafka.client.id=me").unwrap())
        .settings();
    assert_eq!(Case::new().file(&settings.to_masked_toml()).settings(), settings);
    assert_eq!(settings.source.kind, SourceKind::Kafka);
}

#[test]
fn settings_built_in_code_are_checked_too() {
    let mut settings = Settings::default();
    settings.engine.batch_records = 0;
    settings.source.topic = String::new();
    let problems = settings.validate().unwrap_err();
    let keys: Vec<&str> = problems.0.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["engine.batch_records", "source.topic"]);
}
