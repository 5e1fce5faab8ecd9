//! From settings to catalog and warehouse.

use iceberg::spec::FormatVersion;
use pulselake_commit::catalog::{RestSettings, Secret};
use pulselake_config::{ConfigError, Settings};
use pulselake_lake::LakeSettings;
use pulselake_store::{S3Credentials, S3Settings};

/// Where catalog and warehouse are, and how to get in.
///
/// # Errors
/// When a relative path has no absolute form.
pub fn lake_settings(settings: &Settings) -> Result<LakeSettings, ConfigError> {
    let locations = settings.locations()?;
    let mut lake = LakeSettings::new(locations.catalog_uri.expose(), &locations.warehouse_uri);
    lake.fsync = settings.lake.fsync;
    lake.format_version =
        if settings.lake.format_version == 3 { FormatVersion::V3 } else { FormatVersion::V2 };
    lake.answer_timeout_ms = settings.rest.answer_timeout_ms;
    lake.rest = rest_settings(settings);
    lake.s3 = s3_settings(settings);
    Ok(lake)
}

fn rest_settings(settings: &Settings) -> RestSettings {
    let rest = &settings.rest;
    let secret = |text: &str| (!text.is_empty()).then(|| Secret::new(text));
    RestSettings {
        credential: secret(rest.credential.expose()),
        token: secret(rest.token.expose()),
        scope: given(&rest.scope),
        oauth2_server_uri: given(&rest.oauth2_server_uri),
        ..RestSettings::default()
    }
}

fn s3_settings(settings: &Settings) -> S3Settings {
    let s3 = &settings.s3;
    let credentials = (!s3.access_key_id.is_empty()).then(|| S3Credentials {
        access_key_id: s3.access_key_id.clone(),
        secret_access_key: Secret::new(s3.secret_access_key.expose()),
        session_token: given(s3.session_token.expose()).map(Secret::new),
    });
    S3Settings {
        endpoint: given(&s3.endpoint),
        region: given(&s3.region),
        credentials,
        // Unset: the store decides by the endpoint.
        path_style: s3.path_style.then_some(true),
        ..S3Settings::default()
    }
}

/// `None` for an empty text.
fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
