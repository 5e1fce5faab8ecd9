//! What must not appear in a message, a log or a `Debug` output.

use std::fmt;

use reqwest::Url;

/// A word that only who asks for it by [`Secret::expose`] can see.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The word itself: for the service that wants it, nobody else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("…")
    }
}

/// A URI for messages: without user, password, query and fragment; of one that can't be parsed the scheme alone.
pub(crate) fn without_secrets(uri: &str) -> String {
    match Url::parse(uri) {
        Ok(url) => {
            let host = url.host_str().unwrap_or_default();
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            let slashes = if url.has_authority() { "//" } else { "" };
            format!("{}:{slashes}{host}{port}{}", url.scheme(), url.path())
        }
        Err(_) => match uri.split_once(':') {
            Some((scheme, _)) => format!("{scheme}:…"),
            None => "…".to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(
            format!("{:?} {:#?}", Secret::new("hush"), Some(Secret::new("hush"))).matches("hush").count(),
            0
        );
    }

    #[test]
    fn uris_lose_what_may_be_secret() {
        for (uri, shown) in [
            ("postgres://me:hush@db:5433/lake?password=hush", "postgres://db:5433/lake"),
            ("postgres://db/lake?password=a@hush", "postgres://db/lake"),
            ("https://me:hush@catalog/api?token=hush#hush", "https://catalog/api"),
            ("postgres://me:hush/@[db/lake", "postgres:…"),
            ("sqlite:///data/catalog.db", "sqlite:///data/catalog.db"),
            ("hush", "…"),
        ] {
            assert_eq!(without_secrets(uri), shown, "{uri}");
        }
    }
}
