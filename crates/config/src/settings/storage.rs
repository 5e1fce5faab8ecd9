//! Settings of catalogs and stores other than local ones.

use serde::{Deserialize, Serialize};

use crate::Secret;

/// `[rest]`: an Iceberg REST catalog, where `lake.catalog_uri` names one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RestSettings {
    /// `client_id:client_secret` for OAuth2; empty for none.
    pub credential: Secret,
    /// A file that holds `credential`.
    pub credential_file: String,
    /// Where tokens come from; empty is the catalog's own `v1/oauth/tokens`.
    pub oauth2_server_uri: String,
    /// Scope that is asked for; empty asks for `catalog`.
    pub scope: String,
    /// A bearer token, in place of `credential`.
    pub token: Secret,
    /// A file that holds `token`.
    pub token_file: String,
    /// How long to wait for an answer.
    pub answer_timeout_ms: u64,
}

impl Default for RestSettings {
    fn default() -> Self {
        Self {
            credential: Secret::default(),
            credential_file: String::new(),
            oauth2_server_uri: String::new(),
            scope: String::new(),
            token: Secret::default(),
            token_file: String::new(),
            answer_timeout_ms: 20_000,
        }
    }
}

/// `[s3]`: a warehouse on S3 or what is compatible with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3Settings {
    /// The server; empty is Amazon's.
    pub endpoint: String,
    /// The region; empty is the environment's AWS_REGION, else `us-east-1`.
    pub region: String,
    /// Whether the bucket is part of the path instead of the host's name.
    pub path_style: bool,
    /// Access key; empty is the environment's AWS_ACCESS_KEY_ID.
    pub access_key_id: String,
    /// Secret key; empty is the environment's AWS_SECRET_ACCESS_KEY.
    pub secret_access_key: Secret,
    /// A file that holds `secret_access_key`.
    pub secret_access_key_file: String,
    /// Token of temporary keys; empty is the environment's AWS_SESSION_TOKEN.
    pub session_token: Secret,
}
