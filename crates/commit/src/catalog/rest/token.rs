//! Who the client is: nobody, the holder of a token, or one who exchanges a credential for tokens (OAuth2
//! client_credentials), anew before each one's end and when one is refused.

use std::time::{Duration, Instant};

use reqwest::Client;
use tokio::sync::Mutex;

use super::failure::RestFailure;
use super::http::{exchange, read_json};
use super::wire::TokenAnswer;
use crate::catalog::secret::without_secrets;
use crate::catalog::{RestSettings, Secret, Timeouts};

/// A new token is asked for this long before the old one's end, or a fifth of its time where that is shorter.
const RENEW_BEFORE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) enum Authorization {
    Nobody,
    Bearer(Secret),
    Exchanged(Exchange),
}

#[derive(Debug)]
pub(super) struct Exchange {
    endpoint: String,
    client_id: Option<Secret>,
    client_secret: Secret,
    /// Further fields of the request.
    fields: Vec<(&'static str, String)>,
    answer_timeout: Duration,
    token: Mutex<Option<Token>>,
}

#[derive(Clone, Debug)]
struct Token {
    secret: Secret,
    /// `None`: its server did not say how long it is good.
    times: Option<Times>,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    renew_at: Instant,
    good_until: Instant,
}

impl Authorization {
    /// `base`: the catalog's address without a slash at its end.
    pub(super) fn new(base: &str, settings: &RestSettings, timeouts: Timeouts) -> Self {
        let Some(credential) = &settings.credential else {
            return settings.token.clone().map_or(Self::Nobody, Self::Bearer);
        };
        let (client_id, client_secret) = match credential.expose().split_once(':') {
            Some((id, secret)) => (Some(Secret::new(id)), Secret::new(secret)),
            None => (None, credential.clone()),
        };
        let mut fields = vec![("scope", settings.scope.clone().unwrap_or_else(|| "catalog".to_string()))];
        for name in ["audience", "resource"] {
            fields.extend(settings.properties.get(name).map(|value| (name, value.clone())));
        }
        let endpoint = settings.oauth2_server_uri.clone();
        Self::Exchanged(Exchange {
            endpoint: endpoint.unwrap_or_else(|| format!("{base}/v1/oauth/tokens")),
            client_id,
            client_secret,
            fields,
            answer_timeout: timeouts.answer,
            token: Mutex::default(),
        })
    }

    /// The token to send; `None` for nobody.
    pub(super) async fn token(&self, http: &Client) -> Result<Option<Secret>, RestFailure> {
        match self {
            Self::Nobody => Ok(None),
            Self::Bearer(secret) => Ok(Some(secret.clone())),
            Self::Exchanged(exchange) => exchange.token(http).await.map(Some),
        }
    }

    /// Whether there is hope after `refused` was not accepted: it is not used again, and another one can be had.
    pub(super) async fn give_up(&self, refused: Option<&Secret>) -> bool {
        let Self::Exchanged(exchange) = self else {
            return false;
        };
        let mut held = exchange.token.lock().await;
        // Somebody else may have got a new one meanwhile.
        if held.as_ref().map(|token| &token.secret) == refused {
            *held = None;
        }
        true
    }
}

impl Exchange {
    async fn token(&self, http: &Client) -> Result<Secret, RestFailure> {
        // Held while a token is asked for: the others wait for it instead of asking too.
        let mut held = self.token.lock().await;
        if let Some(token) = held.as_ref().filter(|token| token.is_fresh(Instant::now())) {
            return Ok(token.secret.clone());
        }
        match self.ask(http).await {
            Ok(token) => Ok(held.insert(token).secret.clone()),
            Err(failure) => match held.as_ref().filter(|token| token.is_good(Instant::now())) {
                Some(old) => {
                    tracing::warn!(endpoint = without_secrets(&self.endpoint), %failure, "could not renew the catalog's token");
                    Ok(old.secret.clone())
                }
                None => Err(RestFailure::NoToken {
                    endpoint: without_secrets(&self.endpoint),
                    failure: Box::new(failure),
                }),
            },
        }
    }

    async fn ask(&self, http: &Client) -> Result<Token, RestFailure> {
        let mut form =
            vec![("grant_type", "client_credentials"), ("client_secret", self.client_secret.expose())];
        form.extend(self.client_id.as_ref().map(|id| ("client_id", id.expose())));
        form.extend(self.fields.iter().map(|(name, value)| (*name, value.as_str())));
        let asked_at = Instant::now();
        let request = http.post(&self.endpoint).form(&form).timeout(self.answer_timeout);
        let answer: TokenAnswer = read_json(&exchange(request, self.answer_timeout).await?.success()?)?;
        let lifetime = answer.expires_in.map(Duration::from_secs);
        Ok(Token {
            secret: Secret::new(answer.access_token),
            times: lifetime.and_then(|lifetime| Times::new(asked_at, lifetime)),
        })
    }
}

impl Token {
    fn is_fresh(&self, now: Instant) -> bool {
        self.times.is_none_or(|times| now < times.renew_at)
    }

    fn is_good(&self, now: Instant) -> bool {
        self.times.is_none_or(|times| now < times.good_until)
    }
}

impl Times {
    /// `None` for a time beyond all clocks.
    fn new(from: Instant, lifetime: Duration) -> Option<Self> {
        let good_until = from.checked_add(lifetime)?;
        let renew_at = from.checked_add(lifetime - RENEW_BEFORE.min(lifetime / 5))?;
        Some(Self { renew_at, good_until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_before_its_end() {
        let begun = Instant::now();
        for (lifetime_s, renewed_s) in [(3600, 3540), (100, 80), (5, 4), (0, 0)] {
            let times = Times::new(begun, Duration::from_secs(lifetime_s)).unwrap();
            assert_eq!(times.renew_at - begun, Duration::from_secs(renewed_s));
            assert_eq!(times.good_until - begun, Duration::from_secs(lifetime_s));
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        let settings = RestSettings { credential: Some(Secret::new("me:hush")), ..RestSettings::default() };
        let shown = format!("{:?}", Authorization::new("http://catalog", &settings, Timeouts::default()));
        assert!(!shown.contains("hush") && shown.contains("http://catalog/v1/oauth/tokens"), "{shown}");
    }
}
