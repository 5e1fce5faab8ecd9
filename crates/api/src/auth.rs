//! Who may look and who may change: bearer tokens.
//!
//! Looking is open unless a token is set; changing needs a token that is set for it, which opens everything. Comparing
//! takes as long for a wrong token, wherever the first difference is.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use crate::ApiError;
use crate::parts::Api;

/// A token; empty means that none is set. It shows in no output.
#[derive(Clone, Default)]
pub struct Token(String);

impl Token {
    /// A token of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text, for asking another process.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is set, and this is it.
    fn is(&self, given: &[u8]) -> bool {
        !self.is_empty() && bool::from(given.ct_eq(self.0.as_bytes()))
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(if self.is_empty() { "Token(none)" } else { "Token(***)" })
    }
}

/// The tokens in force.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    /// Opens everything that only looks; empty: that is open.
    pub read: Token,
    /// Opens changes, and everything else; empty: nothing can be changed.
    pub action: Token,
}

impl Tokens {
    /// Whether somebody with these headers may look.
    ///
    /// # Errors
    /// 401.
    pub fn may_read(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let given = given(headers);
        // Both are compared in any case: the time taken says nothing.
        let (is_reader, is_actor) = (self.read.is(given), self.action.is(given));
        if self.read.is_empty() || is_reader || is_actor {
            return Ok(());
        }
        Err(ApiError::unauthorized("send the header `Authorization: Bearer …` with the token of http.token"))
    }

    /// Whether somebody with these headers may change something.
    ///
    /// # Errors
    /// 403 where no token is set, else 401.
    pub fn may_change(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        if self.action.is_empty() {
            return Err(ApiError::forbidden(
                "changes_disabled",
                "nothing can be changed over HTTP: http.action_token is not set; set http.action_token_file (or http.action_token) and start again",
            ));
        }
        if self.action.is(given(headers)) {
            return Ok(());
        }
        Err(ApiError::unauthorized(
            "send the header `Authorization: Bearer …` with the token of http.action_token",
        ))
    }
}

fn given(headers: &HeaderMap) -> &[u8] {
    let bearer =
        headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    bearer.unwrap_or_default()
}

/// Lets only those pass who may look.
pub(crate) async fn readers_only(State(api): State<Api>, request: Request, next: Next) -> Response {
    match api.settings.tokens.may_read(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, StatusCode};

    use super::*;

    fn headers(authorization: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !authorization.is_empty() {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(authorization).unwrap());
        }
        headers
    }

    fn codes(tokens: &Tokens, authorization: &str) -> (u16, u16) {
        let status = |outcome: Result<(), ApiError>| {
            outcome.map_or_else(|error| error.status(), |()| StatusCode::OK).as_u16()
        };
        let headers = headers(authorization);
        (status(tokens.may_read(&headers)), status(tokens.may_change(&headers)))
    }

    #[test]
    fn each_token_opens_what_it_is_for() {
        let tokens = |read: &str, action: &str| Tokens { read: Token::new(read), action: Token::new(action) };
        let open = tokens("", "");
        let demo = tokens("", "act");
        let closed = tokens("look", "act");
        let looking = tokens("look", "");
        for (tokens, authorization, expected) in [
            (&open, "", (200, 403)),
            (&open, "Bearer anything", (200, 403)),
            (&demo, "", (200, 401)),
            (&demo, "Bearer ac", (200, 401)),
            (&demo, "Bearer act", (200, 200)),
            (&demo, "bearer act", (200, 401)),
            (&closed, "", (401, 401)),
            (&closed, "Bearer look", (200, 401)),
            (&closed, "Bearer act", (200, 200)),
            (&closed, "Bearer actt", (401, 401)),
            (&closed, "Bearer ", (401, 401)),
            (&closed, "Basic act", (401, 401)),
            (&looking, "Bearer look", (200, 403)),
        ] {
            assert_eq!(codes(tokens, authorization), expected, "{tokens:?} {authorization:?}");
        }
    }

    #[test]
    fn tokens_show_in_no_output() {
        let tokens = Tokens { read: Token::new("hunter2"), action: Token::default() };
        assert_eq!(format!("{tokens:?}"), "Tokens { read: Token(***), action: Token(none) }");
    }
}
