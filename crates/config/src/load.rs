//! Puts the layers together: defaults ← file ← environment ← flags, then checks all of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use figment::Figment;
use figment::providers::Serialized;
use figment::value::Value;

use crate::cross_checks::conflicts;
use crate::error::{ConfigError, Problem, Problems};
use crate::flatten::flatten;
use crate::layer::{ENVIRONMENT_PREFIX, Layer, Override, environment_layer, file_layer, flag_layer};
use crate::rules::{RULES, check};
use crate::secret_files;
use crate::settings::Settings;

/// Where settings come from beside the defaults.
#[derive(Clone, Default)]
pub struct LoadOptions {
    /// A TOML file; none means the defaults.
    pub file: Option<PathBuf>,
    /// Environment variables by name; those without the prefix `PULSELAKE_` are ignored.
    pub environment: Vec<(String, String)>,
    /// What the command line sets.
    pub overrides: Vec<Override>,
}

impl LoadOptions {
    /// Options with this process's environment.
    pub fn from_process(file: Option<PathBuf>, overrides: Vec<Override>) -> Self {
        let environment = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX))
            .collect();
        Self { file, environment, overrides }
    }
}

/// The settings in force.
///
/// # Errors
/// When the file can't be read or is no TOML, and with every problem at once when settings are wrong.
pub fn load(options: &LoadOptions) -> Result<Settings, ConfigError> {
    let mut problems = Vec::new();
    let mut layers = Vec::new();
    if let Some(path) = &options.file {
        layers.push(file_layer(path)?);
    }
    layers.push(environment_layer(&options.environment, &mut problems));
    layers.push(flag_layer(&options.overrides));

    let mut origins = BTreeMap::new();
    let mut figment = Figment::from(Serialized::defaults(Settings::default()));
    for mut layer in layers {
        take_out_wrong_entries(&mut layer, &mut problems);
        origins.extend(layer.entries.iter().map(|(key, entry)| (key.clone(), entry.origin.clone())));
        figment = figment.merge(layer);
    }
    let mut settings: Settings =
        figment.extract().map_err(|error| ConfigError::Unusable(error.kind.to_string()))?;

    for (key, message) in secret_files::resolve(&mut settings) {
        problems.push(Problem { origin: origins.get(&key).cloned(), key, message });
    }
    add_problems_of_the_whole(&settings, &origins, &mut problems);
    if problems.is_empty() {
        return Ok(settings);
    }
    Err(ConfigError::Invalid(Problems(problems)))
}

/// Reports and removes what is wrong by itself, so that the rest can be checked together in the same run.
fn take_out_wrong_entries(layer: &mut Layer, problems: &mut Vec<Problem>) {
    layer.entries.retain(|key, entry| match check(key, &entry.value) {
        Ok(()) => true,
        Err(message) => {
            problems.push(Problem { key: key.clone(), origin: Some(entry.origin.clone()), message });
            false
        }
    });
}

/// Checks the merged settings; what depends on a setting already reported is left out.
fn add_problems_of_the_whole(
    settings: &Settings,
    origins: &BTreeMap<String, String>,
    problems: &mut Vec<Problem>,
) {
    let reported: Vec<String> = problems.iter().map(|problem| problem.key.clone()).collect();
    let is_reported = |key: &str| reported.iter().any(|name| name == key);
    for (key, message) in single_problems(settings) {
        // A secret out of a file was not in any layer: its origin is the file's setting.
        let origin = origins.get(&key).or_else(|| origins.get(&format!("{key}_file"))).cloned();
        if !is_reported(&key) {
            problems.push(Problem { key, origin, message });
        }
    }
    for conflict in conflicts(settings) {
        if conflict.keys.iter().any(|key| is_reported(key)) {
            continue;
        }
        // The named setting may be a default: then what was set beside it is where to look.
        let origin = conflict.keys.iter().find_map(|key| origins.get(*key)).cloned();
        problems.push(Problem { key: conflict.keys[0].to_owned(), origin, message: conflict.message });
    }
}

/// What is wrong setting by setting, secrets included.
fn single_problems(settings: &Settings) -> Vec<(String, String)> {
    let Ok(Value::Dict(_, root)) = Value::serialize(settings) else { return Vec::new() };
    let mut entries = flatten(&root);
    // Serialized, secrets are masked: check the true ones.
    for (key, secret) in [
        ("http.token", &settings.http.token),
        ("http.action_token", &settings.http.action_token),
        ("cdc.schema_registry_password", &settings.cdc.schema_registry_password),
        ("rest.credential", &settings.rest.credential),
        ("rest.token", &settings.rest.token),
        ("s3.secret_access_key", &settings.s3.secret_access_key),
        ("s3.session_token", &settings.s3.session_token),
    ] {
        entries.insert(key.to_owned(), Value::from(secret.expose()));
    }
    entries.insert("lake.catalog_uri".to_owned(), Value::from(settings.lake.catalog_uri.expose()));
    entries.retain(|key, _| !key.starts_with("kafka.librdkafka"));
    for (name, value) in settings.kafka.librdkafka.iter() {
        entries.insert(format!("kafka.librdkafka.{name}"), Value::from(value));
    }
    entries
        .into_iter()
        .filter_map(|(key, value)| check(&key, &value).err().map(|message| (key, message)))
        .collect()
}

impl Settings {
    /// Checks settings that were built in code; [`load`] does it by itself.
    ///
    /// # Errors
    /// With every problem at once.
    pub fn validate(&self) -> Result<(), Problems> {
        let mut problems = Vec::new();
        add_problems_of_the_whole(self, &BTreeMap::new(), &mut problems);
        if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
    }

    /// Every setting's key, as `section.name`, in the order of the reference file.
    pub fn keys() -> impl Iterator<Item = &'static str> {
        RULES.iter().map(|(key, _)| *key)
    }
}
