//! The other processes of the same group: what their boards have, asked in bounded time.

use std::time::Duration;

use futures::future::join_all;
use serde::de::DeserializeOwned;

use crate::auth::{Token, Tokens};
use crate::board::BoardAnswer;
use crate::parameters::MAX_LIMIT;
use crate::pulse::Pulse;
use crate::trending::{RankingKey, Trending};
use crate::video::VideoDetail;

/// How long a peer has for its answer.
const PATIENCE: Duration = Duration::from_millis(300);

/// Most bytes of an answer that are taken.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// The peers of `http.peers`.
pub(crate) struct Peers {
    urls: Vec<String>,
    client: reqwest::Client,
    token: Token,
}

/// What came of asking all of them.
#[derive(Debug)]
pub(crate) struct Answers<T> {
    /// The answers that came.
    pub(crate) found: Vec<T>,
    /// The peers whose answer did not come.
    pub(crate) missing: Vec<String>,
}

impl Peers {
    /// Peers by their base URLs. They are taken to have the same tokens.
    pub(crate) fn new(urls: &[String], tokens: &Tokens) -> Self {
        let token = if tokens.read.is_empty() { &tokens.action } else { &tokens.read };
        Self {
            urls: urls.iter().map(|url| url.trim_end_matches('/').to_owned()).collect(),
            client: reqwest::Client::new(),
            token: token.clone(),
        }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.urls.is_empty()
    }

    /// Their own lists.
    pub(crate) async fn trending(&self, key: &RankingKey) -> Answers<Trending> {
        self.ask_all(&trending_path(key)).await
    }

    /// Their own boards.
    pub(crate) async fn boards(&self) -> Vec<(&str, Result<BoardAnswer, String>)> {
        let asking = self
            .urls
            .iter()
            .map(|url| async move { (url.as_str(), self.ask(url, "/api/v1/board?local=true").await) });
        join_all(asking).await
    }

    /// Their own pulses.
    pub(crate) async fn pulses(&self) -> Answers<Pulse> {
        self.ask_all("/api/v1/pulse?local=true").await
    }

    /// The video from the board that has it.
    pub(crate) async fn video(&self, video_id: &str) -> Option<VideoDetail> {
        let encoded: String = form_urlencoded::byte_serialize(video_id.as_bytes()).collect();
        // In a path a space is not a plus.
        let path = format!("/api/v1/videos/{}?local=true", encoded.replace('+', "%20"));
        self.ask_all(&path).await.found.into_iter().next()
    }

    async fn ask_all<T: DeserializeOwned>(&self, path: &str) -> Answers<T> {
        let all = join_all(self.urls.iter().map(|url| self.ask(url, path))).await;
        let mut answers = Answers { found: Vec::new(), missing: Vec::new() };
        for (url, answer) in self.urls.iter().zip(all) {
            match answer {
                Ok(found) => answers.found.push(found),
                Err(reason) => {
                    tracing::debug!(event = "peer_missing", peer = url, reason, "a peer did not answer");
                    answers.missing.push(url.clone());
                }
            }
        }
        answers
    }

    async fn ask<T: DeserializeOwned>(&self, url: &str, path: &str) -> Result<T, String> {
        let answering = async {
            let mut request = self.client.get(format!("{url}{path}"));
            if !self.token.is_empty() {
                request = request.bearer_auth(self.token.expose());
            }
            let mut response = request.send().await.map_err(|error| error.to_string())?;
            if !response.status().is_success() {
                return Err(format!("it answered {}", response.status()));
            }
            let mut body = Vec::new();
            while let Some(part) = response.chunk().await.map_err(|error| error.to_string())? {
                body.extend_from_slice(&part);
                if body.len() > MAX_ANSWER_BYTES {
                    return Err(format!("its answer is longer than {MAX_ANSWER_BYTES} bytes"));
                }
            }
            serde_json::from_slice(&body).map_err(|error| format!("its answer can't be read: {error}"))
        };
        let in_time = tokio::time::timeout(PATIENCE, answering).await;
        in_time.unwrap_or_else(|_| Err(format!("no answer within {} ms", PATIENCE.as_millis())))
    }
}

fn trending_path(key: &RankingKey) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("local", "true").append_pair("order", key.order.as_str());
    query.append_pair("limit", &MAX_LIMIT.to_string());
    for (name, value) in [("category", &key.category), ("region", &key.region)] {
        if let Some(text) = value {
            query.append_pair(name, text);
        }
    }
    format!("/api/v1/trending?{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trending::Order;

    #[test]
    fn a_peer_is_asked_for_the_same_list_of_its_own_videos() {
        let category = Some("Food & Drink".to_owned());
        let key = RankingKey { order: Order::Surprise, category, ..RankingKey::default() };
        let expected = "/api/v1/trending?local=true&order=surprise&limit=500&category=Food+%26+Drink";
        assert_eq!(trending_path(&key), expected);
    }
}
