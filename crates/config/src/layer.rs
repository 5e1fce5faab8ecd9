//! One source of settings: a file, the environment or the flags, each as flat keys with their origins.

use std::collections::BTreeMap;
use std::path::Path;

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use crate::error::{ConfigError, Problem};
use crate::flatten::{FREE_PREFIX, nest};
use crate::rules::{RULES, allowed_for};
use crate::secret::is_secret_name;

/// Prefix of the environment variables that are settings.
pub(crate) const ENVIRONMENT_PREFIX: &str = "PULSELAKE_";

/// A setting given on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The setting, as `section.name`.
    pub key: String,
    /// Its value.
    pub value: OverrideValue,
    /// The flag as the user typed it, such as `--brokers`.
    pub flag: String,
}

/// The value of an [`Override`].
#[derive(Clone, PartialEq, Eq)]
pub enum OverrideValue {
    /// Text, read as what the setting needs.
    Text(String),
    /// Several texts, for settings that are lists.
    List(Vec<String>),
}

impl std::fmt::Debug for OverrideValue {
    /// Without the content: it may be a secret.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(_) => formatter.write_str("Text(…)"),
            Self::List(items) => write!(formatter, "List({} items)", items.len()),
        }
    }
}

impl Override {
    /// A setting from a flag of its own.
    pub fn text(key: impl Into<String>, value: impl Into<String>, flag: impl Into<String>) -> Self {
        Self { key: key.into(), value: OverrideValue::Text(value.into()), flag: flag.into() }
    }

    /// A setting that is a list.
    pub fn list(key: impl Into<String>, values: Vec<String>, flag: impl Into<String>) -> Self {
        Self { key: key.into(), value: OverrideValue::List(values), flag: flag.into() }
    }

    /// The setting in a `--set key=value`.
    ///
    /// # Errors
    /// When there is no `=`.
    pub fn parse(assignment: &str) -> Result<Self, String> {
        let Some((key, value)) = assignment.split_once('=') else {
            return Err("expected key=value, such as engine.shards=2".to_owned());
        };
        Ok(Self::text(key.trim(), value, format!("--set {}", key.trim())))
    }
}

/// A value and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) value: Value,
    pub(crate) origin: String,
}

/// Flat settings of one source.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) name: &'static str,
    pub(crate) entries: BTreeMap<String, Entry>,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let nested = nest(self.entries.iter().map(|(key, entry)| (key.as_str(), entry.value.clone())));
        Ok(Profile::Default.collect(nested))
    }
}

/// The settings of a TOML file.
pub(crate) fn file_layer(path: &Path) -> Result<Layer, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::ReadFile { path: path.to_owned(), source })?;
    let document = toml_edit::ImDocument::parse(text.as_str()).map_err(|error| {
        let (line, column) = position(&text, error.span().map_or(0, |span| span.start));
        ConfigError::ParseFile { path: path.to_owned(), line, column, message: first_line(error.message()) }
    })?;
    let mut entries = BTreeMap::new();
    let file = FileText { path, text: &text };
    file.collect("", document.as_table(), &mut entries);
    Ok(Layer { name: "file", entries })
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}

fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

struct FileText<'a> {
    path: &'a Path,
    text: &'a str,
}

impl FileText<'_> {
    fn collect(&self, prefix: &str, table: &dyn toml_edit::TableLike, entries: &mut BTreeMap<String, Entry>) {
        for (name, item) in table.iter() {
            let key = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
            if let Some(inner) = item.as_table_like()
                && (!inner.is_empty() || is_section(&key))
            {
                self.collect(&key, inner, entries);
                continue;
            }
            let span = table.key(name).and_then(toml_edit::Key::span);
            let origin = match span {
                Some(span) => format!("{}, line {}", self.path.display(), position(self.text, span.start).0),
                None => self.path.display().to_string(),
            };
            let value =
                as_property(&key, item.as_value().map_or_else(|| Value::from(Dict::new()), file_value));
            entries.insert(key, Entry { value, origin });
        }
    }
}

/// Whether a table of this name may be there, and so may be empty.
fn is_section(key: &str) -> bool {
    FREE_PREFIX.strip_suffix('.') == Some(key)
        || RULES.iter().any(|(name, _)| name.split('.').next() == Some(key))
}

fn file_value(value: &toml_edit::Value) -> Value {
    match value {
        toml_edit::Value::String(text) => Value::from(text.value().as_str()),
        toml_edit::Value::Integer(number) => Value::from(*number.value()),
        toml_edit::Value::Float(number) => Value::from(*number.value()),
        toml_edit::Value::Boolean(switch) => Value::from(*switch.value()),
        toml_edit::Value::Datetime(time) => Value::from(time.value().to_string()),
        toml_edit::Value::Array(list) => Value::from(list.iter().map(file_value).collect::<Vec<_>>()),
        toml_edit::Value::InlineTable(_) => Value::from(Dict::new()),
    }
}

/// librdkafka takes texts alone: numbers and switches in its section become texts.
fn as_property(key: &str, value: Value) -> Value {
    if !key.starts_with(FREE_PREFIX) {
        return value;
    }
    match &value {
        Value::Bool(_, switch) => Value::from(switch.to_string()),
        Value::Num(_, number) => match (value.to_i128(), number.to_f64()) {
            (Some(whole), _) => Value::from(whole.to_string()),
            (None, Some(float)) => Value::from(float.to_string()),
            (None, None) => value,
        },
        _ => value,
    }
}

/// The settings among these environment variables. A variable that looks like a setting with its section set off
/// wrongly is a problem; any other with the prefix is left alone (Kubernetes puts `PULSELAKE_SERVICE_HOST` there).
pub(crate) fn environment_layer(variables: &[(String, String)], problems: &mut Vec<Problem>) -> Layer {
    let mut entries = BTreeMap::new();
    for (variable, text) in variables {
        let Some(name) = variable.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
        let origin = format!("environment variable {variable}");
        let Some((section, rest)) = name.split_once("__") else {
            if let Some(meant) = mistaken_variable(name) {
                let message = format!("a section is set off by two underscores: {meant}");
                problems.push(Problem { key: variable.clone(), origin: None, message });
            }
            continue;
        };
        let key = environment_key(section, rest);
        if text.contains(char::REPLACEMENT_CHARACTER) {
            let message = "the value is not UTF-8; allowed is UTF-8 text".to_owned();
            problems.push(Problem { key, origin: Some(origin), message });
            continue;
        }
        let value =
            allowed_for(&key).map_or_else(|| Value::from(text.as_str()), |allowed| allowed.parse(text));
        entries.insert(key, Entry { value, origin });
    }
    Layer { name: "environment", entries }
}

/// `KAFKA`, `BROKERS` → `kafka.brokers`; `KAFKA`, `LIBRDKAFKA__SASL_PASSWORD` → `kafka.librdkafka.sasl.password`.
fn environment_key(section: &str, rest: &str) -> String {
    let flat = format!("{section}.{}", rest.replace("__", ".")).to_ascii_lowercase();
    let Some(property) = flat.strip_prefix(FREE_PREFIX) else { return flat };
    // A variable's name has no dots: librdkafka's become underscores, and our own suffix for secrets in files stays.
    let dotted = property.replace('_', ".");
    match dotted.strip_suffix(".file") {
        Some(secret) if is_secret_name(secret) && !secret.ends_with("private.key") => {
            format!("{FREE_PREFIX}{secret}_file")
        }
        _ => format!("{FREE_PREFIX}{dotted}"),
    }
}

fn mistaken_variable(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    let (key, _) = RULES.iter().find(|(key, _)| key.replace('.', "_") == lower)?;
    Some(format!("{ENVIRONMENT_PREFIX}{}", key.replace('.', "__").to_ascii_uppercase()))
}

/// The settings given by flags; of two for one setting the later counts.
pub(crate) fn flag_layer(overrides: &[Override]) -> Layer {
    let mut entries = BTreeMap::new();
    for Override { key, value, flag } in overrides {
        let parsed = match value {
            OverrideValue::List(items) => Value::from(items.clone()),
            OverrideValue::Text(text) => {
                allowed_for(key).map_or_else(|| Value::from(text.as_str()), |allowed| allowed.parse(text))
            }
        };
        entries.insert(key.clone(), Entry { value: parsed, origin: format!("flag {flag}") });
    }
    Layer { name: "flags", entries }
}
