//! Secrets that lie in files of their own, as orchestrators mount them: `http.token_file`, `http.action_token_file`, `lake.catalog_uri_file`,
//! `cdc.schema_registry_password_file`, `rest.credential_file`, `rest.token_file`, `s3.secret_access_key_file`,
//! and any librdkafka property with `_file` behind its name.

use std::path::Path;

use crate::flatten::FREE_PREFIX;
use crate::secret::{ConnectionUri, Secret};
use crate::settings::Settings;

/// Reads every named file into the setting it stands for. What fails is returned as key and message.
pub(crate) fn resolve(settings: &mut Settings) -> Vec<(String, String)> {
    let mut failures = Vec::new();
    let cdc = &mut settings.cdc;
    for (key, secret, file) in [
        ("http.token", &mut settings.http.token, &settings.http.token_file),
        ("http.action_token", &mut settings.http.action_token, &settings.http.action_token_file),
        (
            "cdc.schema_registry_password",
            &mut cdc.schema_registry_password,
            &cdc.schema_registry_password_file,
        ),
        ("rest.credential", &mut settings.rest.credential, &settings.rest.credential_file),
        ("rest.token", &mut settings.rest.token, &settings.rest.token_file),
        ("s3.secret_access_key", &mut settings.s3.secret_access_key, &settings.s3.secret_access_key_file),
    ] {
        if let Some(text) = read(key, secret.is_empty(), file, &mut failures) {
            *secret = Secret::new(text);
        }
    }
    let lake = &mut settings.lake;
    let uri = read("lake.catalog_uri", lake.catalog_uri.is_empty(), &lake.catalog_uri_file, &mut failures);
    if let Some(text) = uri {
        lake.catalog_uri = ConnectionUri::new(text);
    }
    let properties = &mut settings.kafka.librdkafka;
    let names: Vec<String> =
        properties.iter().filter_map(|(name, _)| name.strip_suffix("_file").map(str::to_owned)).collect();
    for name in names {
        let path = properties.remove(&format!("{name}_file")).unwrap_or_default();
        let unset = properties.get(&name).is_none();
        if let Some(text) = read(&format!("{FREE_PREFIX}{name}"), unset, &path, &mut failures) {
            properties.insert(name, text);
        }
    }
    failures
}

fn read(key: &str, unset: bool, path: &str, failures: &mut Vec<(String, String)>) -> Option<String> {
    if path.is_empty() {
        return None;
    }
    let result = if unset {
        read_secret(Path::new(path))
    } else {
        Err(format!("{key} is set too; allowed is one of them"))
    };
    match result {
        Ok(text) => Some(text),
        Err(message) => {
            failures.push((format!("{key}_file"), message));
            None
        }
    }
}

/// The file's text without the line end that editors add.
fn read_secret(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        format!(
            "can't read {}: {error}; allowed is a readable text file with nothing but the secret",
            path.display()
        )
    })?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(format!(
            "{} is empty; allowed is a text file with nothing but the secret",
            path.display()
        ));
    }
    Ok(secret.to_owned())
}
