//! The requests of the protocol, each one call. What an answer means for a table is decided above.

use std::collections::HashMap;
use std::time::Duration;

use iceberg::{NamespaceIdent, TableIdent, TableRequirement, TableUpdate};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH};
use reqwest::{Client, Method, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::failure::RestFailure;
use super::http::{Answer, client, exchange, read_json};
use super::token::Authorization;
use super::wire::{
    Commit, Configuration, NamespacePage, NewNamespace, NewTable, Strings, TableAnswer, TablePage,
};
use crate::CatalogError;
use crate::catalog::secret::without_secrets;
use crate::catalog::{RestSettings, Timeouts};

/// Between the levels of a namespace in a path, encoded, unless the catalog has another.
const NAMESPACE_SEPARATOR: &str = "%1F";
const DELEGATION: &str = "x-iceberg-access-delegation";

/// A table that was asked for.
pub(super) enum Loaded {
    Missing,
    /// It is as the ETag says.
    Unchanged,
    Table(Box<TableAnswer>, Option<String>),
}

/// Speaks to one catalog.
#[derive(Debug)]
pub(super) struct RestClient {
    http: Client,
    /// Without a slash at its end.
    base: String,
    /// `v1`, or `v1/PREFIX`.
    root: String,
    separator: String,
    authorization: Authorization,
    timeouts: Timeouts,
}

/// What the catalog wants its clients to know, without what this client knows itself.
pub(super) type Properties = Strings;

struct Asked<'a, B> {
    method: Method,
    path: String,
    query: Vec<(&'static str, &'a str)>,
    etag: Option<&'a str>,
    body: Option<&'a B>,
    answer_timeout: Duration,
}

impl RestClient {
    /// Asks the catalog for its configuration.
    pub(super) async fn open(
        uri: &str,
        settings: &RestSettings,
        timeouts: Timeouts,
    ) -> Result<(Self, Properties), CatalogError> {
        if let Some(kind) = settings
            .properties
            .get("rest.auth.type")
            .filter(|kind| !["none", "oauth2"].contains(&kind.as_str()))
        {
            let reason =
                format!("`{kind}` is not supported; use none, or oauth2 with a credential or a token");
            return Err(CatalogError::Setting { setting: "rest.auth.type", reason });
        }
        let base = uri.trim_end_matches('/').to_string();
        let mut this = Self {
            http: client(timeouts, headers(&settings.properties)?)?,
            authorization: Authorization::new(&base, settings, timeouts),
            base,
            root: "v1".to_string(),
            separator: NAMESPACE_SEPARATOR.to_string(),
            timeouts,
        };
        let query = settings.warehouse.iter().map(|name| ("warehouse", name.as_str())).collect();
        let told: Configuration = this.get("v1/config".to_string(), query).await.map_err(|failure| {
            CatalogError::Rest { action: "read its configuration", catalog: this.describe(), failure }
        })?;
        let mut properties = told.defaults;
        properties.extend(settings.prefix.iter().map(|prefix| ("prefix".to_string(), prefix.clone())));
        properties.extend(told.overrides);
        if let Some(moved) = properties.remove("uri") {
            this.base = moved.trim_end_matches('/').to_string();
        }
        if let Some(prefix) = properties.remove("prefix").filter(|prefix| !prefix.is_empty()) {
            this.root = format!("v1/{}", prefix.trim_matches('/'));
        }
        if let Some(separator) = properties.remove("namespace-separator") {
            this.separator = separator;
        }
        Ok((this, properties))
    }

    /// Where it is, without secrets.
    pub(super) fn describe(&self) -> String {
        without_secrets(&self.base).trim_end_matches('/').to_string()
    }

    /// A table, unless it still is as `etag` says.
    pub(super) async fn load(&self, table: &TableIdent, etag: Option<&str>) -> Result<Loaded, RestFailure> {
        let asked = Asked { etag, ..self.asked(Method::GET, self.table_path(table)) };
        let answer = self.send::<()>(asked).await?;
        if answer.status == StatusCode::NOT_MODIFIED && etag.is_some() {
            return Ok(Loaded::Unchanged);
        }
        let etag = answer.etag.clone();
        match answer.success() {
            Ok(body) => Ok(Loaded::Table(Box::new(read_json(&body)?), etag)),
            Err(failure) if failure.is_missing() => Ok(Loaded::Missing),
            Err(failure) => Err(failure),
        }
    }

    /// Applies updates to a table if it is as required.
    pub(super) async fn commit(
        &self,
        table: &TableIdent,
        requirements: &[TableRequirement],
        updates: &[TableUpdate],
        answer_timeout: Duration,
    ) -> Result<(TableAnswer, Option<String>), RestFailure> {
        let body = Commit { identifier: table, requirements, updates };
        let asked =
            Asked { body: Some(&body), answer_timeout, ..self.asked(Method::POST, self.table_path(table)) };
        let answer = self.send(asked).await?;
        let etag = answer.etag.clone();
        Ok((read_json(&answer.success()?)?, etag))
    }

    pub(super) async fn create_table(
        &self,
        namespace: &NamespaceIdent,
        table: &NewTable,
    ) -> Result<(), RestFailure> {
        self.post(format!("{}/tables", self.namespace_path(namespace)), table).await
    }

    pub(super) async fn create_namespace(&self, namespace: &NamespaceIdent) -> Result<(), RestFailure> {
        let body = NewNamespace { namespace: namespace.as_ref(), properties: HashMap::new() };
        self.post(format!("{}/namespaces", self.root), &body).await
    }

    pub(super) async fn has_namespace(&self, namespace: &NamespaceIdent) -> Result<bool, RestFailure> {
        let answer = self.send::<()>(self.asked(Method::GET, self.namespace_path(namespace))).await?;
        match answer.success() {
            Ok(_) => Ok(true),
            Err(failure) if failure.is_missing() => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// The namespaces directly below `parent`, or all of the first level.
    pub(super) async fn namespaces(
        &self,
        parent: Option<&NamespaceIdent>,
    ) -> Result<Vec<Vec<String>>, RestFailure> {
        let parent = parent.map(|levels| levels.join(&decoded(&self.separator)));
        let mut found = Vec::new();
        let mut pages = Pages::default();
        loop {
            let mut query: Vec<_> = parent.iter().map(|parent| ("parent", parent.as_str())).collect();
            query.extend(pages.token());
            let page: NamespacePage = self.get(format!("{}/namespaces", self.root), query).await?;
            found.extend(page.namespaces);
            if !pages.turn(page.next_page_token)? {
                return Ok(found);
            }
        }
    }

    pub(super) async fn tables(&self, namespace: &NamespaceIdent) -> Result<Vec<TableIdent>, RestFailure> {
        let mut found = Vec::new();
        let mut pages = Pages::default();
        loop {
            let path = format!("{}/tables", self.namespace_path(namespace));
            let page: TablePage = self.get(path, pages.token().into_iter().collect()).await?;
            found.extend(page.identifiers);
            if !pages.turn(page.next_page_token)? {
                return Ok(found);
            }
        }
    }

    fn namespace_path(&self, namespace: &NamespaceIdent) -> String {
        let levels: Vec<String> = namespace.as_ref().iter().map(|level| encoded(level)).collect();
        format!("{}/namespaces/{}", self.root, levels.join(&self.separator))
    }

    fn table_path(&self, table: &TableIdent) -> String {
        format!("{}/tables/{}", self.namespace_path(table.namespace()), encoded(table.name()))
    }

    fn asked<B>(&self, method: Method, path: String) -> Asked<'_, B> {
        Asked {
            method,
            path,
            query: Vec::new(),
            etag: None,
            body: None,
            answer_timeout: self.timeouts.answer,
        }
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: String,
        query: Vec<(&'static str, &str)>,
    ) -> Result<T, RestFailure> {
        let answer = self.send::<()>(Asked { query, ..self.asked(Method::GET, path) }).await?;
        read_json(&answer.success()?)
    }

    async fn post<B: Serialize + Sync>(&self, path: String, body: &B) -> Result<(), RestFailure> {
        self.send(Asked { body: Some(body), ..self.asked(Method::POST, path) }).await?.success().map(|_| ())
    }

    /// Sends a request; once more with a new token where the old one is not accepted, which is to say that nothing was
    /// done.
    async fn send<B: Serialize + Sync>(&self, asked: Asked<'_, B>) -> Result<Answer, RestFailure> {
        let token = self.authorization.token(&self.http).await?;
        let answer = self.send_as(&asked, token.as_ref()).await?;
        let refused = matches!(answer.status.as_u16(), 401 | 419);
        if !refused || !self.authorization.give_up(token.as_ref()).await {
            return Ok(answer);
        }
        let renewed = self.authorization.token(&self.http).await?;
        self.send_as(&asked, renewed.as_ref()).await
    }

    async fn send_as<B: Serialize + Sync>(
        &self,
        asked: &Asked<'_, B>,
        token: Option<&crate::catalog::Secret>,
    ) -> Result<Answer, RestFailure> {
        let url = format!("{}/{}", self.base, asked.path);
        let mut request =
            self.http.request(asked.method.clone(), url).query(&asked.query).timeout(asked.answer_timeout);
        if let Some(token) = token {
            request = request.bearer_auth(token.expose());
        }
        if let Some(etag) = asked.etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if let Some(body) = asked.body {
            request = request.json(body);
        }
        exchange(request, asked.answer_timeout).await
    }
}

/// Turns the pages of a list.
#[derive(Default)]
struct Pages {
    next: Option<String>,
}

impl Pages {
    fn token(&self) -> Option<(&'static str, &str)> {
        self.next.as_deref().map(|token| ("pageToken", token))
    }

    /// Whether there is another page.
    fn turn(&mut self, token: Option<String>) -> Result<bool, RestFailure> {
        let token = token.filter(|token| !token.is_empty());
        if token.is_some() && token == self.next {
            return Err(RestFailure::Unreadable {
                reason: "a list whose next page is the same page".to_string(),
            });
        }
        self.next = token;
        Ok(self.next.is_some())
    }
}

/// The headers of every request: those that properties name, and the wish for the store's credentials.
fn headers(properties: &HashMap<String, String>) -> Result<HeaderMap, CatalogError> {
    let wrong = |name: &str| CatalogError::Setting {
        setting: "properties",
        reason: format!("has header.{name}, which is no header: use visible ASCII characters"),
    };
    let mut headers = HeaderMap::new();
    headers.insert(DELEGATION, HeaderValue::from_static("vended-credentials"));
    for (key, value) in properties {
        let Some(name) = key.strip_prefix("header.") else { continue };
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong(name))?;
        let mut text = HeaderValue::from_str(value).map_err(|_| wrong(name))?;
        text.set_sensitive(true);
        headers.insert(header, text);
    }
    Ok(headers)
}

/// A name as a part of a path. Servers read `+` as a blank, so it is encoded too.
fn encoded(name: &str) -> String {
    let mut result = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => result.push(byte as char),
            _ => result.push_str(&format!("%{byte:02X}")),
        }
    }
    result
}

/// What a part of a query stands for.
fn decoded(text: &str) -> String {
    match Url::parse(&format!("http://localhost/?separator={text}")) {
        Ok(url) => url.query_pairs().map(|(_, value)| value.into_owned()).collect(),
        Err(_) => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_as_parts_of_a_path() {
        for (name, path) in [
            ("plain_name-1.2~3", "plain_name-1.2~3"),
            ("a/b?c#d", "a%2Fb%3Fc%23d"),
            ("50 % + x", "50%20%25%20%2B%20x"),
            ("größe", "gr%C3%B6%C3%9Fe"),
            ("\u{1f}", "%1F"),
        ] {
            assert_eq!(encoded(name), path);
        }
    }

    #[test]
    fn separators_are_decoded_for_queries() {
        assert_eq!(
            (decoded("%1F").as_str(), decoded("%2E").as_str(), decoded(".").as_str()),
            ("\u{1f}", ".", ".")
        );
    }

    #[test]
    fn a_list_that_never_ends_is_an_error() {
        let mut pages = Pages::default();
        assert!(pages.turn(Some("2".to_string())).unwrap());
        assert_eq!(pages.token(), Some(("pageToken", "2")));
        assert!(pages.turn(Some("2".to_string())).is_err());
        assert!(!pages.turn(Some(String::new())).unwrap());
    }

    #[test]
    fn headers_come_from_properties() {
        let properties = HashMap::from([
            ("header.X-Iceberg-Access-Delegation".to_string(), "remote-signing".to_string()),
            ("header.X-Key".to_string(), "hush".to_string()),
            ("other".to_string(), "hush".to_string()),
        ]);
        let made = headers(&properties).unwrap();
        assert_eq!(
            (made[DELEGATION].as_bytes(), made["x-key"].as_bytes()),
            (&b"remote-signing"[..], &b"hush"[..])
        );
        assert_eq!(made.len(), 2);
        assert!(!format!("{made:?}").contains("hush"));
        assert!(headers(&HashMap::from([("header.a b".to_string(), String::new())])).is_err());
    }
}
