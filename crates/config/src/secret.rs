//! Values that must not be seen: they serialize and print masked, and are read through `expose` alone.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// What is shown in place of a secret.
pub const MASK: &str = "***";

/// A secret text. Empty means that none is set, and is shown as such.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A secret of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether no secret is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn masked(&self) -> &str {
        if self.0.is_empty() { "" } else { MASK }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.masked())
    }
}

impl Serialize for Secret {
    /// Masked: whoever writes settings out must not write a secret.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.masked())
    }
}

/// A URI that may carry a password, as in `postgres://user:password@host/db`; only that part is masked.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ConnectionUri(String);

impl ConnectionUri {
    /// A URI of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The URI with its password. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether no URI is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The URI with its password masked.
    pub fn masked(&self) -> String {
        mask_uri(&self.0)
    }
}

impl fmt::Debug for ConnectionUri {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.masked())
    }
}

impl Serialize for ConnectionUri {
    /// Masked, as [`Secret`] is.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.masked())
    }
}

/// Masks the password of the user part and every query parameter with a secret's name.
fn mask_uri(uri: &str) -> String {
    let (before_query, query) = match uri.split_once('?') {
        Some((before, after)) => (before, Some(after)),
        None => (uri, None),
    };
    let mut masked = mask_user_part(before_query);
    let Some(query) = query else { return masked };
    for (index, parameter) in query.split('&').enumerate() {
        masked.push(if index == 0 { '?' } else { '&' });
        match parameter.split_once('=') {
            Some((name, _)) if is_secret_name(name) => {
                masked.push_str(name);
                masked.push('=');
                masked.push_str(MASK);
            }
            _ => masked.push_str(parameter),
        }
    }
    masked
}

/// `scheme://user:password@host` → `scheme://user:***@host`. The last `@` ends the user part: passwords may hold one.
fn mask_user_part(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else { return uri.to_owned() };
    let Some((user_part, host_part)) = rest.rsplit_once('@') else { return uri.to_owned() };
    match user_part.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:{MASK}@{host_part}"),
        None => uri.to_owned(),
    }
}

/// Whether a setting, property or parameter of this name holds a secret. Rather one too many than one too few.
pub(crate) fn is_secret_name(name: &str) -> bool {
    const PARTS: [&str; 9] = [
        "password",
        "passphrase",
        "secret",
        "token",
        "sasl.jaas",
        "sasl.oauthbearer.config",
        "ssl.key",
        "ssl_key",
        "private.key",
    ];
    let name = name.to_ascii_lowercase();
    PARTS.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_in_no_output() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "\"***\"");
        assert_eq!(toml::Value::try_from(&secret).unwrap().as_str(), Some(MASK));
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(format!("{:?}", Secret::default()), "\"\"");
    }

    #[test]
    fn a_uri_keeps_everything_but_its_password() {
        let cases = [
            ("postgres://me:p@ss:w@db:5432/lake", "postgres://me:***@db:5432/lake"),
            (
                "postgres://me@db/lake?sslpassword=x&sslmode=require",
                "postgres://me@db/lake?sslpassword=***&sslmode=require",
            ),
            ("sqlite:///data/catalog.db?mode=rwc", "sqlite:///data/catalog.db?mode=rwc"),
            ("", ""),
        ];
        for (uri, masked) in cases {
            assert_eq!(ConnectionUri::new(uri).masked(), masked, "{uri}");
        }
    }
}
