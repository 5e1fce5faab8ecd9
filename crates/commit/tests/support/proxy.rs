//! A proxy between the engine and a REST catalog that does to commits what networks and servers do.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use parking_lot::Mutex;

/// What becomes of one commit.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing bad.
    Pass,
    /// This status for an answer; the catalog hears nothing of it.
    Refuse(u16),
    /// The same, with a time after which to come back, seconds.
    ComeBack(u16, u32),
    /// The catalog carries it out, and the answer is this status.
    ApplyAndSay(u16),
    /// The catalog carries it out, and the connection breaks in the middle of the answer.
    ApplyAndCut,
    /// The catalog carries it out, and the answer is no JSON.
    ApplyAndRave,
    /// The catalog gets it twice; the second answer counts.
    Twice,
    /// The catalog carries it out at once, and the answer comes later than anybody waits.
    ApplyAndSilence,
    /// The catalog gets it after this time, whether somebody waits for the answer or not.
    Late(Duration),
}

pub struct Proxy {
    /// Where it listens.
    pub uri: String,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

struct Shared {
    target: String,
    http: reqwest::Client,
    faults: Mutex<VecDeque<Fault>>,
    commits: AtomicUsize,
    tokens: AtomicUsize,
    /// Told to clients instead of the real one, seconds.
    token_lifetime_s: Mutex<Option<u64>>,
    /// Late requests that the catalog has answered.
    late_answers: Mutex<Vec<u16>>,
}

impl Proxy {
    /// Before the catalog at `target`.
    pub async fn before(target: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            target: target.to_string(),
            http: reqwest::Client::new(),
            faults: Mutex::default(),
            commits: AtomicUsize::new(0),
            tokens: AtomicUsize::new(0),
            token_lifetime_s: Mutex::default(),
            late_answers: Mutex::default(),
        });
        let router = Router::new().fallback(serve).with_state(shared.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { uri, shared, task }
    }

    /// What becomes of the next commits; later ones pass.
    pub fn expect(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.faults.lock().extend(faults);
    }

    pub fn limit_tokens_to_s(&self, lifetime_s: u64) {
        *self.shared.token_lifetime_s.lock() = Some(lifetime_s);
    }

    /// How many commits came by.
    pub fn commits(&self) -> usize {
        self.shared.commits.load(Ordering::SeqCst)
    }

    /// How many tokens were asked for.
    pub fn tokens(&self) -> usize {
        self.shared.tokens.load(Ordering::SeqCst)
    }

    /// The statuses with which the catalog answered late requests, as soon as there are so many.
    pub async fn late_answers(&self, count: usize) -> Vec<u16> {
        for _ in 0..2_000 {
            let answers = self.shared.late_answers.lock().clone();
            if answers.len() >= count {
                return answers;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the catalog has not got the late request within 20 s");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Letter {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let mut headers = parts.headers;
    headers.remove(header::HOST);
    headers.remove(header::CONTENT_LENGTH);
    let path = parts.uri.path_and_query().unwrap().to_string();
    let letter =
        Letter { method: parts.method, path, headers, body: to_bytes(body, usize::MAX).await.unwrap() };
    if letter.path.ends_with("/oauth/tokens") {
        shared.tokens.fetch_add(1, Ordering::SeqCst);
        return token(&shared, letter).await;
    }
    if letter.method != Method::POST || !letter.path.contains("/tables/") {
        return forward(&shared, letter).await;
    }
    shared.commits.fetch_add(1, Ordering::SeqCst);
    let fault = shared.faults.lock().pop_front().unwrap_or(Fault::Pass);
    // On its own: who hangs up does not take back what was sent.
    tokio::spawn(async move { suffer(&shared, letter, fault).await }).await.unwrap()
}

async fn suffer(shared: &Shared, letter: Letter, fault: Fault) -> Response<Body> {
    match fault {
        Fault::Pass => return forward(shared, letter).await,
        Fault::Refuse(status) => return made_up(status).body(error(status)).unwrap(),
        Fault::ComeBack(status, seconds) => {
            return made_up(status).header(header::RETRY_AFTER, seconds).body(error(status)).unwrap();
        }
        Fault::Late(time) => {
            tokio::time::sleep(time).await;
            let answer = forward(shared, letter).await;
            shared.late_answers.lock().push(answer.status().as_u16());
            return answer;
        }
        _ => {}
    }
    let answer = forward(shared, letter.clone()).await;
    if answer.status() != StatusCode::OK {
        // A race that was lost in earnest: there is nothing to hide.
        return answer;
    }
    match fault {
        Fault::ApplyAndSay(status) => made_up(status).body(error(status)).unwrap(),
        Fault::ApplyAndCut => {
            let broken = Err(std::io::Error::other("cut"));
            let parts = futures::stream::iter([Ok(Bytes::from_static(b"{\"metadata\":")), broken]);
            made_up(200).header(header::CONTENT_LENGTH, 1_000).body(Body::from_stream(parts)).unwrap()
        }
        Fault::ApplyAndRave => made_up(200).body(Body::from("<html>Welcome</html>")).unwrap(),
        Fault::Twice => forward(shared, letter).await,
        Fault::ApplyAndSilence => std::future::pending().await,
        other => panic!("{other:?} does not apply anything"),
    }
}

async fn forward(shared: &Shared, letter: Letter) -> Response<Body> {
    let url = format!("{}{}", shared.target, letter.path);
    let request = shared.http.request(letter.method, url).headers(letter.headers).body(letter.body);
    let answer = request.send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    for name in [header::ETAG, header::CONTENT_TYPE] {
        if let Some(value) = answer.headers().get(&name) {
            response = response.header(name, value);
        }
    }
    response.body(Body::from(answer.bytes().await.unwrap())).unwrap()
}

async fn token(shared: &Shared, letter: Letter) -> Response<Body> {
    let lifetime_s = *shared.token_lifetime_s.lock();
    let answer = forward(shared, letter).await;
    let Some(lifetime_s) = lifetime_s else {
        return answer;
    };
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    let mut told: serde_json::Value = serde_json::from_slice(&body).unwrap();
    told["expires_in"] = lifetime_s.into();
    Response::new(Body::from(told.to_string()))
}

fn made_up(status: u16) -> axum::http::response::Builder {
    Response::builder().status(status)
}

fn error(status: u16) -> Body {
    let message = "the proxy's words";
    let body = serde_json::json!({"error": {"message": message, "type": "MadeUpException", "code": status}});
    Body::from(body.to_string())
}
