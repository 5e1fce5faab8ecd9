//! What each setting may be. One table: the checks, the error messages and the comments of the reference file all
//! come from it (a test compares the file with it).

use std::fmt;
use std::net::SocketAddr;

use figment::value::Value;
use pulselake_generator::{GeneratorError, Scenario};

use crate::flatten::FREE_PREFIX;
use crate::librdkafka::reserved_property;
use crate::secret::{ConnectionUri, MASK, is_secret_name};

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Allowed {
    /// A whole number in a range, ends included, of a unit.
    Integer { min: i128, max: i128, unit: &'static str },
    /// A share, from 0 to this.
    Ratio(f64),
    /// A switch.
    Boolean,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Any text.
    Text,
    /// A text that says something.
    NonEmptyText,
    /// A topic's name by Kafka's rule.
    Topic,
    /// The same, or empty.
    OptionalTopic,
    /// What fits into an HTTP header.
    Token,
    /// An address to listen on.
    BindAddress,
    /// A catalog's URI.
    CatalogUri,
    /// The URL of a service, without a user in it, or empty.
    HttpUrl,
    /// Several texts.
    TextList,
    /// Several URLs of services, without users in them.
    UrlList,
    /// Several of the generator's scenarios.
    ScenarioList,
}

use Allowed::{
    BindAddress, Boolean, CatalogUri, HttpUrl, NonEmptyText, OneOf, OptionalTopic, Ratio, ScenarioList, Text,
    TextList, Token, Topic, UrlList,
};

const fn integer(min: i128, max: i128, unit: &'static str) -> Allowed {
    Allowed::Integer { min, max, unit }
}

const MINUTE_MS: i128 = 60_000;
const HOUR_MS: i128 = 60 * MINUTE_MS;
const DAY_MS: i128 = 24 * HOUR_MS;
const MIB: i128 = 1_048_576;
const GIB: i128 = 1_024 * MIB;

/// Every setting but the free ones, in the order of the reference file.
pub(crate) const RULES: &[(&str, Allowed)] = &[
    ("source.kind", OneOf(&["generator", "kafka", "files"])),
    ("source.topic", Topic),
    ("source.until_caught_up", Boolean),
    ("kafka.brokers", Text),
    ("kafka.group_id", NonEmptyText),
    ("kafka.group_mode", OneOf(&["group", "assign"])),
    ("kafka.group_instance_id", Text),
    ("kafka.prefetch_max_bytes", integer(MIB, 64 * GIB, "bytes")),
    ("kafka.connect_timeout_ms", integer(100, 10 * MINUTE_MS, "milliseconds")),
    ("kafka.revoke_timeout_ms", integer(1_000, 4 * MINUTE_MS, "milliseconds")),
    ("kafka.on_data_loss", OneOf(&["stop", "continue"])),
    ("kafka.metadata_refresh_ms", integer(1_000, HOUR_MS, "milliseconds")),
    ("generator.seed", integer(0, i64::MAX as i128, "")),
    ("generator.rate_per_s", integer(1, 100_000_000, "events per second")),
    ("generator.partitions", integer(1, 1_024, "partitions")),
    ("generator.videos", integer(1, 10_000_000, "videos")),
    ("generator.users", integer(1, 1_000_000_000, "users")),
    ("generator.start_ms", integer(0, 4_102_444_800_000, "milliseconds since 1970")),
    ("generator.invalid_ratio", Ratio(0.9)),
    ("generator.duplicate_ratio", Ratio(1.0)),
    ("generator.late_ratio", Ratio(1.0)),
    ("generator.day_curve", Ratio(1.0)),
    ("generator.length_s", integer(0, 3_153_600_000, "seconds")),
    ("generator.scenarios", ScenarioList),
    ("files.paths", TextList),
    ("files.max_line_bytes", integer(1_024, GIB, "bytes")),
    ("engine.shards", integer(0, 1_024, "shards")),
    ("engine.batch_records", integer(1, 1_048_576, "records")),
    ("engine.batch_bytes", integer(1_024, GIB, "bytes")),
    ("engine.batch_wait_ms", integer(1, MINUTE_MS, "milliseconds")),
    ("engine.mailbox_batches", integer(1, 64, "batches")),
    ("engine.idle_timeout_ms", integer(100, DAY_MS, "milliseconds")),
    ("engine.lag_interval_ms", integer(100, HOUR_MS, "milliseconds")),
    ("engine.drain_timeout_ms", integer(1_000, 10 * MINUTE_MS, "milliseconds")),
    ("supervision.backoff_initial_ms", integer(1, MINUTE_MS, "milliseconds")),
    ("supervision.backoff_max_ms", integer(1, HOUR_MS, "milliseconds")),
    ("supervision.restart_budget", integer(0, 1_000_000, "restarts")),
    ("supervision.restart_window_ms", integer(1_000, 7 * DAY_MS, "milliseconds")),
    ("supervision.heartbeat_interval_ms", integer(100, 10 * MINUTE_MS, "milliseconds")),
    ("supervision.heartbeat_timeout_ms", integer(1_000, HOUR_MS, "milliseconds")),
    ("decode.max_record_bytes", integer(1_024, 256 * MIB, "bytes")),
    ("decode.future_tolerance_ms", integer(0, 365 * DAY_MS, "milliseconds")),
    ("decode.max_nesting_depth", integer(1, 512, "levels")),
    ("windows.watermark_delay_ms", integer(0, DAY_MS, "milliseconds")),
    ("windows.allowed_lateness_ms", integer(0, 3_650 * DAY_MS, "milliseconds")),
    ("windows.dedup_horizon_ms", integer(0, 7 * DAY_MS, "milliseconds")),
    ("windows.dedup_max_ids", integer(1, 1_000_000_000, "event ids per partition")),
    ("bronze.commit_interval_ms", integer(100, HOUR_MS, "milliseconds")),
    ("bronze.flush_bytes", integer(MIB, 4 * GIB, "bytes")),
    ("bronze.max_open_hours", integer(1, 4_096, "hour partitions")),
    ("bronze.zstd_level", integer(1, 19, "")),
    ("bronze.row_group_rows", integer(1_024, 16_777_216, "rows")),
    ("gold.collect_wait_ms", integer(0, MINUTE_MS, "milliseconds")),
    ("gold.correction_interval_ms", integer(1_000, HOUR_MS, "milliseconds")),
    ("gold.max_pending_rows", integer(1_000, 100_000_000, "rows")),
    ("board.enabled", Boolean),
    ("board.max_videos", integer(1_000, 1_000_000_000, "videos")),
    ("cdc.videos_topic", OptionalTopic),
    ("cdc.users_topic", OptionalTopic),
    ("cdc.schema_registry_url", HttpUrl),
    ("cdc.schema_registry_user", Text),
    ("cdc.schema_registry_password", Text),
    ("cdc.schema_registry_password_file", Text),
    ("cdc.commit_interval_ms", integer(100, HOUR_MS, "milliseconds")),
    ("cdc.max_pending_rows", integer(1, 100_000_000, "rows")),
    ("cdc.max_pending_bytes", integer(1_024, 4 * GIB, "bytes")),
    ("cdc.max_columns", integer(20, 10_000, "columns")),
    ("cdc.max_index_keys", integer(1, 1_000_000_000, "keys per entity")),
    ("cdc.max_cached_videos", integer(1, 1_000_000_000, "videos")),
    ("decisions.enabled", Boolean),
    ("decisions.rules_file", Text),
    ("decisions.baseline_file", Text),
    ("decisions.actions_topic", OptionalTopic),
    ("decisions.straggler_wait_ms", integer(0, MINUTE_MS, "milliseconds")),
    ("decisions.max_watermark_lag_ms", integer(1_000, HOUR_MS, "milliseconds")),
    ("decisions.reload_interval_ms", integer(100, HOUR_MS, "milliseconds")),
    ("decisions.refresh_interval_ms", integer(100, HOUR_MS, "milliseconds")),
    ("lake.data_dir", NonEmptyText),
    ("lake.catalog_uri", CatalogUri),
    ("lake.catalog_uri_file", Text),
    ("lake.warehouse", Text),
    ("lake.format_version", integer(2, 3, "")),
    ("lake.fsync", Boolean),
    ("lake.connect_timeout_ms", integer(100, 10 * MINUTE_MS, "milliseconds")),
    ("rest.credential", Text),
    ("rest.credential_file", Text),
    ("rest.oauth2_server_uri", Text),
    ("rest.scope", Text),
    ("rest.token", Token),
    ("rest.token_file", Text),
    ("rest.answer_timeout_ms", integer(100, 10 * MINUTE_MS, "milliseconds")),
    ("s3.endpoint", Text),
    ("s3.region", Text),
    ("s3.path_style", Boolean),
    ("s3.access_key_id", Text),
    ("s3.secret_access_key", Text),
    ("s3.secret_access_key_file", Text),
    ("s3.session_token", Text),
    ("maintenance.enabled", Boolean),
    ("maintenance.interval_ms", integer(1_000, 7 * DAY_MS, "milliseconds")),
    ("maintenance.check_interval_ms", integer(100, DAY_MS, "milliseconds")),
    ("maintenance.urgent_files", integer(2, 1_000_000, "files")),
    ("maintenance.target_file_bytes", integer(MIB, 4 * GIB, "bytes")),
    ("maintenance.memory_bytes", integer(32 * MIB, 64 * GIB, "bytes")),
    ("maintenance.cpu_share_percent", integer(1, 100, "percent")),
    ("maintenance.partition_close_delay_ms", integer(0, 7 * DAY_MS, "milliseconds")),
    ("maintenance.snapshot_max_age_ms", integer(0, 3_650 * DAY_MS, "milliseconds")),
    ("maintenance.snapshots_to_keep", integer(1, 100_000, "snapshots")),
    ("maintenance.orphan_min_age_ms", integer(MINUTE_MS, 3_650 * DAY_MS, "milliseconds")),
    ("maintenance.gold_max_age_ms", integer(0, 3_650 * DAY_MS, "milliseconds")),
    ("maintenance.lease_ms", integer(1_000, DAY_MS, "milliseconds")),
    ("http.bind", BindAddress),
    ("http.token", Token),
    ("http.token_file", Text),
    ("http.action_token", Token),
    ("http.action_token_file", Text),
    ("http.peers", UrlList),
    ("query.enabled", Boolean),
    ("query.program", Text),
    ("query.memory_mib", integer(16, 1_048_576, "MiB")),
    ("query.max_rows", integer(1, 1_000_000_000, "rows")),
    ("query.timeout_ms", integer(100, HOUR_MS, "milliseconds")),
    ("query.max_concurrent", integer(1, 1_024, "queries")),
    ("batch.max_payload_columns", integer(0, 1_000, "columns")),
    ("log.format", OneOf(&["text", "json"])),
    ("log.level", OneOf(&["error", "warn", "info", "debug", "trace"])),
];

/// What the setting may be; `None` when there is no such setting.
pub(crate) fn allowed_for(key: &str) -> Option<Allowed> {
    if key.strip_prefix(FREE_PREFIX).is_some_and(|property| !property.is_empty()) {
        return Some(Text);
    }
    RULES.iter().find(|(name, _)| *name == key).map(|(_, allowed)| *allowed)
}

/// Checks one setting by itself. The error says what was found, unless that is a secret, and what is allowed.
pub(crate) fn check(key: &str, value: &Value) -> Result<(), String> {
    let Some(allowed) = allowed_for(key) else { return Err(unknown_key(key)) };
    if let Some(reason) = key.strip_prefix(FREE_PREFIX).and_then(reserved_property) {
        return Err(format!("this property can't be set here: {reason}"));
    }
    if is_secret(key) && value.as_str() == Some(MASK) {
        return Err(format!("{MASK} is what a masked secret prints as; allowed is the secret itself"));
    }
    if allowed.accepts(value) {
        return Ok(());
    }
    if let Some(refusal) = first_wrong_scenario(allowed, value) {
        return Err(format!("{refusal}; allowed is {allowed}"));
    }
    Err(format!("found {}, allowed is {allowed}", describe(key, value)))
}

/// The settings that are secrets.
const SECRETS: [&str; 7] = [
    "http.token",
    "http.action_token",
    "cdc.schema_registry_password",
    "rest.credential",
    "rest.token",
    "s3.secret_access_key",
    "s3.session_token",
];

/// Whether the setting's value must not be shown. The path of a file with a secret may be.
fn is_secret(key: &str) -> bool {
    let free = key.strip_prefix(FREE_PREFIX).is_some_and(is_secret_name);
    (free || SECRETS.contains(&key)) && !key.ends_with("_file")
}

fn describe(key: &str, value: &Value) -> String {
    match value {
        Value::Dict(..) => "a table".to_owned(),
        Value::Array(..) => "a list".to_owned(),
        _ if is_secret(key) => MASK.to_owned(),
        Value::String(_, text) if matches!(key, "lake.catalog_uri" | "cdc.schema_registry_url") => {
            format!("{:?}", ConnectionUri::new(text))
        }
        Value::String(_, text) => format!("{text:?}"),
        Value::Char(_, character) => format!("{:?}", character.to_string()),
        Value::Bool(_, switch) => switch.to_string(),
        Value::Num(_, number) => match integer_of(value) {
            Some(whole) => whole.to_string(),
            None => number.to_f64().map_or_else(|| "a number".to_owned(), |float| float.to_string()),
        },
        Value::Empty(..) => "nothing".to_owned(),
    }
}

/// `no such setting`, with the nearest name and the names that exist.
pub(crate) fn unknown_key(key: &str) -> String {
    let section = key.split('.').next().unwrap_or(key);
    let prefix = format!("{section}.");
    let names: Vec<&str> = RULES.iter().filter_map(|(name, _)| name.strip_prefix(&prefix)).collect();
    let existing = if names.is_empty() {
        let mut sections: Vec<&str> = RULES.iter().filter_map(|(name, _)| name.split('.').next()).collect();
        sections.dedup();
        format!("the sections are {}", sections.join(", "))
    } else {
        format!("allowed in [{section}] are {}", names.join(", "))
    };
    match nearest_key(key) {
        Some(nearest) => format!("no such setting; did you mean {nearest}? {existing}"),
        None => format!("no such setting; {existing}"),
    }
}

/// The setting that was probably meant: the same name in another section, or a few letters off.
fn nearest_key(key: &str) -> Option<&'static str> {
    let name = key.rsplit('.').next().unwrap_or(key);
    let same_name = RULES.iter().find(|(candidate, _)| candidate.rsplit('.').next() == Some(name));
    if let Some((candidate, _)) = same_name {
        return Some(candidate);
    }
    let (distance, candidate) = RULES
        .iter()
        .map(|(candidate, _)| (strsim::damerau_levenshtein(candidate, key), *candidate))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= 3).then_some(candidate)
}

fn integer_of(value: &Value) -> Option<i128> {
    let signed = value.to_i128();
    signed.or_else(|| value.to_u128().and_then(|unsigned| i128::try_from(unsigned).ok()))
}

impl Allowed {
    /// Whether a value of the right type is in range.
    fn accepts(self, value: &Value) -> bool {
        match self {
            Self::Integer { min, max, .. } => {
                integer_of(value).is_some_and(|number| (min..=max).contains(&number))
            }
            Ratio(max) => {
                let whole = integer_of(value).map(|number| number as f64);
                value.to_f64().or(whole).is_some_and(|ratio| (0.0..=max).contains(&ratio))
            }
            Boolean => value.to_bool().is_some(),
            OneOf(words) => value.as_str().is_some_and(|text| words.contains(&text)),
            Text => value.as_str().is_some(),
            NonEmptyText => value.as_str().is_some_and(|text| !text.trim().is_empty()),
            Topic => value.as_str().is_some_and(is_topic),
            OptionalTopic => value.as_str().is_some_and(|name| name.is_empty() || is_topic(name)),
            Token => value.as_str().is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_graphic())),
            BindAddress => {
                value.as_str().is_some_and(|text| text.is_empty() || text.parse::<SocketAddr>().is_ok())
            }
            CatalogUri => value.as_str().is_some_and(is_catalog_uri),
            HttpUrl => value.as_str().is_some_and(|url| url.is_empty() || is_http_url(url)),
            TextList => value.as_array().is_some_and(|list| list.iter().all(|item| item.as_str().is_some())),
            UrlList => value
                .as_array()
                .is_some_and(|list| list.iter().all(|item| item.as_str().is_some_and(is_http_url))),
            ScenarioList => value.as_array().is_some_and(|list| {
                list.len() <= pulselake_generator::config::MAX_SCENARIOS
                    && list
                        .iter()
                        .all(|item| item.as_str().is_some_and(|text| text.parse::<Scenario>().is_ok()))
            }),
        }
    }

    /// Reads the text of a variable or flag as what the setting needs; text that does not fit stays text, and is
    /// refused by the check.
    pub(crate) fn parse(self, text: &str) -> Value {
        let parsed = match self {
            Self::Integer { .. } => text.trim().replace('_', "").parse::<i64>().ok().map(Value::from),
            Ratio(_) => text.trim().parse::<f64>().ok().map(Value::from),
            Boolean => text.trim().parse::<bool>().ok().map(Value::from),
            TextList | UrlList => Some(parse_list(text)),
            ScenarioList => Some(parse_scenarios(text)),
            OneOf(_) | Text | NonEmptyText | Topic | OptionalTopic | Token | BindAddress | CatalogUri
            | HttpUrl => None,
        };
        parsed.unwrap_or_else(|| Value::from(text))
    }
}

/// `["a", "b"]` as in TOML, or `a,b`.
fn parse_list(text: &str) -> Value {
    let items: Vec<String> = match toml::from_str::<toml::Table>(&format!("list = {text}")) {
        Ok(table) => table
            .get("list")
            .and_then(toml::Value::as_array)
            .map(|list| {
                list.iter()
                    .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                    .collect()
            })
            .unwrap_or_else(|| vec![text.to_owned()]),
        Err(_) => {
            text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
        }
    };
    Value::from(items)
}

/// `["a:start_s=1,length_s=2", "b"]` as in TOML, or one scenario alone: its own commas separate its parts.
fn parse_scenarios(text: &str) -> Value {
    match text.trim() {
        "" => Value::from(Vec::<String>::new()),
        list if list.starts_with('[') => parse_list(list),
        scenario => Value::from(vec![scenario.to_owned()]),
    }
}

/// What is wrong with the first scenario of a list that can't be read.
fn first_wrong_scenario(allowed: Allowed, value: &Value) -> Option<GeneratorError> {
    let items = value.as_array().filter(|_| matches!(allowed, ScenarioList))?;
    items.iter().find_map(|item| item.as_str()?.parse::<Scenario>().err())
}

fn is_topic(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && name.bytes().all(legal) && name != "." && name != ".."
}

fn is_catalog_uri(uri: &str) -> bool {
    let schemes = ["sqlite:", "postgres://", "postgresql://", "http://", "https://"];
    uri.is_empty() || schemes.iter().any(|scheme| uri.starts_with(scheme))
}

/// A user and a password in it would be shown wherever the URL is.
fn is_http_url(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) else {
        return false;
    };
    let is_clean = rest.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'@'));
    is_clean && !rest.is_empty() && !rest.starts_with('/')
}

impl fmt::Display for Allowed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer { min, max, unit: "" } => write!(formatter, "an integer from {min} to {max}"),
            Self::Integer { min, max, unit } => write!(formatter, "an integer from {min} to {max} ({unit})"),
            Ratio(max) => write!(formatter, "a number from 0 to {max}"),
            Boolean => formatter.write_str("true or false"),
            OneOf(words) => {
                for (index, word) in words.iter().enumerate() {
                    let separator = if index == 0 { "" } else { " | " };
                    write!(formatter, "{separator}\"{word}\"")?;
                }
                Ok(())
            }
            Text => formatter.write_str("a text"),
            NonEmptyText => formatter.write_str("a text that is not empty"),
            Topic => formatter.write_str("1 to 249 letters, digits, '.', '_' and '-'"),
            OptionalTopic => formatter.write_str("1 to 249 letters, digits, '.', '_' and '-', or empty"),
            Token => formatter.write_str("visible ASCII characters without spaces, or empty"),
            BindAddress => formatter.write_str("an IP address and port such as 127.0.0.1:9464, or empty"),
            CatalogUri => formatter.write_str("sqlite:…, postgres://…, http://… or https://…, or empty"),
            HttpUrl => {
                formatter.write_str("http://… or https://… without user, query and fragment, or empty")
            }
            TextList => formatter.write_str("a list of texts"),
            UrlList => {
                formatter.write_str("a list of http://… or https://… without user, query and fragment")
            }
            ScenarioList => formatter.write_str(
                "a list of at most 64 texts such as \"late_events:start_s=60,length_s=600,strength=1\"",
            ),
        }
    }
}
