//! The clients of S3: one per bucket and settings, one pool of connections for all, on threads of their own.
//!
//! A table is loaded again and again, each time perhaps with new keys: the connections outlive that. They live on an own
//! runtime, so that a thread busy with computing never stalls another's request, and none dies with a caller's runtime.

use std::collections::HashMap;
use std::io;
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::{HttpClient, HttpConnector, SpawnedReqwestConnector};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::{S3Settings, StoreError};

/// Clients kept; keys handed out with tables come and go.
const CLIENTS_KEPT: usize = 64;

/// Settings and their client, the last used first.
static CLIENTS: LazyLock<Mutex<Vec<(ClientKey, AmazonS3)>>> = LazyLock::new(Mutex::default);

/// Pools of connections, by the options they were made with.
static POOLS: LazyLock<Mutex<HashMap<String, HttpClient>>> = LazyLock::new(Mutex::default);

#[derive(Clone, PartialEq, Eq)]
struct ClientKey {
    bucket: String,
    settings: S3Settings,
}

/// The client for a bucket. `settings` are complete: the environment has been asked.
pub(super) fn client(bucket: &str, settings: &S3Settings) -> Result<AmazonS3, StoreError> {
    let mut clients = CLIENTS.lock();
    let known = clients.iter().position(|(key, _)| key.bucket == bucket && key.settings == *settings);
    if let Some(index) = known {
        clients[..=index].rotate_right(1);
        return Ok(clients[0].1.clone());
    }
    let made = build(bucket, settings)?;
    let key = ClientKey { bucket: bucket.to_string(), settings: settings.clone() };
    clients.insert(0, (key, made.clone()));
    clients.truncate(CLIENTS_KEPT);
    Ok(made)
}

/// The runtime of all connections. It also ends what a caller has dropped, and is never shut down.
pub(super) fn runtime() -> Result<Handle, StoreError> {
    static RUNTIME: OnceLock<io::Result<Runtime>> = OnceLock::new();
    let started = RUNTIME.get_or_init(|| {
        Builder::new_multi_thread().worker_threads(2).thread_name("pulselake-s3").enable_all().build()
    });
    let failed = |error: &io::Error| StoreError::BadSetting {
        setting: "limits of the system",
        reason: format!("cannot start threads for S3: {error}; allow the process more threads (ulimit -u)"),
    };
    started.as_ref().map(|runtime| runtime.handle().clone()).map_err(failed)
}

#[derive(Debug)]
struct PooledConnector {
    runtime: Handle,
}

impl HttpConnector for PooledConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let mut pools = POOLS.lock();
        let key = format!("{options:?}");
        if let Some(pool) = pools.get(&key) {
            return Ok(pool.clone());
        }
        let pool = SpawnedReqwestConnector::new(self.runtime.clone()).connect(options)?;
        pools.insert(key, pool.clone());
        Ok(pool)
    }
}

fn build(bucket: &str, settings: &S3Settings) -> Result<AmazonS3, StoreError> {
    settings.validate()?;
    let limits = &settings.limits;
    let allow_http = settings.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    let options = ClientOptions::new()
        .with_connect_timeout(Duration::from_millis(limits.connect_timeout_ms))
        .with_timeout(Duration::from_millis(limits.request_timeout_ms))
        .with_allow_http(allow_http);
    let retry = RetryConfig {
        backoff: BackoffConfig { max_backoff: Duration::from_secs(5), ..BackoffConfig::default() },
        max_retries: limits.max_retries,
        retry_timeout: Duration::from_millis(limits.retry_timeout_ms),
    };
    let path_style = settings.path_style.unwrap_or(settings.endpoint.is_some() || bucket.contains('.'));
    let mut builder = AmazonS3Builder::new()
        .with_http_connector(PooledConnector { runtime: runtime()? })
        .with_bucket_name(bucket)
        .with_region(settings.region.as_deref().unwrap_or("us-east-1"))
        .with_virtual_hosted_style_request(!path_style)
        .with_skip_signature(settings.anonymous)
        .with_client_options(options)
        .with_retry(retry);
    if let Some(endpoint) = &settings.endpoint {
        builder =
            builder.with_endpoint(bucket_endpoint(endpoint, bucket, path_style)).with_allow_http(allow_http);
    }
    builder = match &settings.credentials {
        Some(credentials) => {
            let token = credentials.session_token.as_ref();
            let keyed = builder
                .with_access_key_id(&credentials.access_key_id)
                .with_secret_access_key(credentials.secret_access_key.expose());
            token.into_iter().fold(keyed, |with_keys, token| with_keys.with_token(token.expose()))
        }
        None => with_ambient_credentials(builder),
    };
    builder.build().map_err(|error| StoreError::BadSetting { setting: "s3", reason: error.to_string() })
}

/// The endpoint as object_store wants it: with the bucket in the host where requests are not path style.
fn bucket_endpoint(endpoint: &str, bucket: &str, path_style: bool) -> String {
    let trimmed = endpoint.trim_end_matches('/');
    match trimmed.split_once("://") {
        Some((scheme, host)) if !path_style => format!("{scheme}://{bucket}.{host}"),
        _ => trimmed.to_string(),
    }
}

/// Where no keys are given: those of the role that a container has (web identity is looked for by object_store itself),
/// else those of the machine.
fn with_ambient_credentials(builder: AmazonS3Builder) -> AmazonS3Builder {
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", AmazonS3ConfigKey::ContainerCredentialsRelativeUri),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", AmazonS3ConfigKey::ContainerCredentialsFullUri),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", AmazonS3ConfigKey::ContainerAuthorizationTokenFile),
    ];
    variables.into_iter().fold(builder, |known, (name, key)| match std::env::var(name) {
        Ok(value) => known.with_config(key, value),
        Err(_) => known,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{S3Credentials, Secret};

    fn settings(secret: &str) -> S3Settings {
        S3Settings {
            endpoint: Some("http://127.0.0.1:9".to_string()),
            credentials: Some(S3Credentials {
                access_key_id: "key".to_string(),
                secret_access_key: Secret::new(secret),
                session_token: None,
            }),
            ..S3Settings::default()
        }
    }

    fn kept(bucket: &str) -> usize {
        CLIENTS.lock().iter().filter(|(key, _)| key.bucket == bucket).count()
    }

    #[test]
    fn clients_are_shared_by_bucket_and_credentials_and_are_not_kept_without_bound() {
        for _ in 0..3 {
            client("shared-clients", &settings("one")).unwrap();
        }
        client("shared-clients", &settings("two")).unwrap();
        assert_eq!(kept("shared-clients"), 2);
        for number in 0..CLIENTS_KEPT {
            client("many-clients", &settings(&format!("secret {number}"))).unwrap();
        }
        assert!(CLIENTS.lock().len() <= CLIENTS_KEPT);
        assert_eq!(kept("shared-clients"), 0, "the least recently used ones go first");
    }

    #[test]
    fn connections_are_shared_by_clients_with_other_credentials() {
        client("shared-pools", &settings("one")).unwrap();
        let pools = POOLS.lock().len();
        client("shared-pools", &settings("two")).unwrap();
        client("other-shared-pools", &settings("two")).unwrap();
        assert_eq!(POOLS.lock().len(), pools);
    }

    #[test]
    fn the_bucket_is_in_the_path_or_in_the_host() {
        assert_eq!(bucket_endpoint("http://minio:9000/", "lake", true), "http://minio:9000");
        assert_eq!(bucket_endpoint("https://s3.example.com", "lake", false), "https://lake.s3.example.com");
    }
}
