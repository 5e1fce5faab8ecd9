//! The schemas that records in Avro name: asked of the registry once an id, and kept.
//!
//! What a registry has under an id never changes, so that an answer holds for as long as the process runs. That it has none is
//! asked again after a while. A registry that can't be asked is waited for: that a schema can't be fetched says nothing
//! about the record.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pulselake_cdc::{SchemaAnswer, WriterSchema, WriterSchemas};
use pulselake_source::{RegistryAnswer, SchemaRegistry};
use pulselake_telemetry::{RegistryMetrics, events};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often a registry that is away is written of.
const REMINDER: Duration = Duration::from_secs(30);
/// When a schema that is not there is asked for a second time: a follower among registries learns of it a little later.
const SECOND_LOOK: Duration = Duration::from_secs(1);
/// How long it is believed that a schema is not there.
const UNKNOWN_FOR: Duration = Duration::from_secs(60);
/// How many answers are kept. A topic names a handful; broken records may name any number.
const MAX_KEPT: usize = 1_000;

/// What is known of one registry's schemas. Cheap to clone; the streams of a process share one.
#[derive(Clone)]
pub struct SchemaBook(Arc<Inner>);

struct Inner {
    registry: SchemaRegistry,
    kept: Mutex<Kept>,
    /// Held while the registry is asked, so that each id is asked for once.
    turn: tokio::sync::Mutex<()>,
    metrics: RegistryMetrics,
}

#[derive(Default)]
struct Kept {
    answers: Arc<WriterSchemas>,
    /// Ids without a schema, and when that was said.
    unknown: Vec<(u32, Instant)>,
}

impl SchemaBook {
    /// An empty book.
    pub fn new(registry: SchemaRegistry) -> Self {
        let (kept, turn) = (Mutex::default(), tokio::sync::Mutex::default());
        Self(Arc::new(Inner { registry, kept, turn, metrics: RegistryMetrics::default() }))
    }

    /// Answers to all of these ids and to others, where none has to be asked for.
    pub(super) fn known(&self, wanted: &BTreeSet<u32>) -> Option<Arc<WriterSchemas>> {
        let mut kept = self.0.kept.lock();
        kept.forget_unknown();
        wanted.iter().all(|id| kept.answers.contains_key(id)).then(|| kept.answers.clone())
    }

    /// The same, for as long as the registry takes to answer. May be dropped at any time: what was answered so far is kept.
    pub(super) async fn ask(&self, wanted: &BTreeSet<u32>) -> Arc<WriterSchemas> {
        let _turn = self.0.turn.lock().await;
        self.0.kept.lock().make_room_for(wanted);
        let mut unknown = Vec::new();
        for &id in wanted {
            if self.known(&BTreeSet::from([id])).is_some() {
                continue;
            }
            match self.answer(id).await {
                SchemaAnswer::Unknown => unknown.push(id),
                answer => self.0.kept.lock().keep(id, answer),
            }
        }
        if !unknown.is_empty() {
            tokio::time::sleep(SECOND_LOOK).await;
        }
        for id in unknown {
            let answer = self.answer(id).await;
            self.0.kept.lock().keep(id, answer);
        }
        // Every one of them, whether or not a minute has passed since it was said to be unknown.
        self.0.kept.lock().answers.clone()
    }

    /// Asks until there is an answer.
    async fn answer(&self, id: u32) -> SchemaAnswer {
        let (begun, mut told, mut pause) = (Instant::now(), None::<Instant>, FIRST_PAUSE);
        let answer = loop {
            match self.0.registry.schema(id).await {
                Ok(answer) => break answer,
                Err(error) => {
                    self.0.metrics.failed();
                    if told.is_none_or(|at| at.elapsed() >= REMINDER) {
                        told = Some(Instant::now());
                        events::schema_registry_away(id, begun.elapsed(), &error.to_string());
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        };
        if told.is_some() {
            events::schema_registry_back(begun.elapsed());
        }
        self.0.metrics.answered(answer != RegistryAnswer::Unknown);
        judged(id, answer)
    }
}

fn judged(id: u32, answer: RegistryAnswer) -> SchemaAnswer {
    let reason = match answer {
        RegistryAnswer::Unknown => return SchemaAnswer::Unknown,
        RegistryAnswer::OtherKind(kind) => {
            format!("it is of type {kind}, and only AVRO is read: set an Avro converter")
        }
        RegistryAnswer::Avro(text) => match WriterSchema::parse(&text) {
            Ok(schema) => {
                events::schema_fetched(id, text.len());
                return SchemaAnswer::Known(Arc::new(schema));
            }
            Err(error) => error.to_string(),
        },
    };
    SchemaAnswer::Unusable(reason)
}

impl Kept {
    fn keep(&mut self, id: u32, answer: SchemaAnswer) {
        if matches!(answer, SchemaAnswer::Unknown) {
            self.unknown.push((id, Instant::now()));
        }
        Arc::make_mut(&mut self.answers).insert(id, answer);
    }

    fn forget_unknown(&mut self) {
        let old = |(_, said): &(u32, Instant)| said.elapsed() >= UNKNOWN_FOR;
        if !self.unknown.iter().any(old) {
            return;
        }
        let answers = Arc::make_mut(&mut self.answers);
        for (id, _) in self.unknown.extract_if(.., |entry| old(entry)) {
            answers.remove(&id);
        }
    }

    fn make_room_for(&mut self, wanted: &BTreeSet<u32>) {
        if self.answers.len() + wanted.len() <= MAX_KEPT {
            return;
        }
        Arc::make_mut(&mut self.answers).retain(|id, _| wanted.contains(id));
        self.unknown.retain(|(id, _)| wanted.contains(id));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::Router;
    use axum::extract::{Path, State};
    use axum::http::StatusCode;
    use axum::routing::get;
    use pulselake_source::SchemaRegistrySettings;

    use super::*;

    /// Requests so far, and how many of the first ones fail.
    #[derive(Default)]
    struct Registry {
        requests: AtomicU32,
        failing: u32,
    }

    /// 1 is a schema, 2 one of another kind, 3 no schema of Avro; 4 is there from its second request on.
    async fn answer(
        State(registry): State<Arc<Registry>>,
        Path(id): Path<u32>,
    ) -> (StatusCode, &'static str) {
        let number = registry.requests.fetch_add(1, Ordering::Relaxed);
        if number < registry.failing {
            return (StatusCode::SERVICE_UNAVAILABLE, "");
        }
        match (id, number) {
            (1, _) | (4, 1..) => (StatusCode::OK, r#"{"schema":"\"string\""}"#),
            (2, _) => (StatusCode::OK, r#"{"schema":"{}","schemaType":"JSON"}"#),
            (3, _) => (StatusCode::OK, r#"{"schema":"\"strin\""}"#),
            _ => (StatusCode::NOT_FOUND, r#"{"error_code":40403}"#),
        }
    }

    async fn book(failing: u32) -> (SchemaBook, Arc<Registry>) {
        let registry = Arc::new(Registry { failing, ..Registry::default() });
        let routes = Router::new().route("/schemas/ids/{id}", get(answer)).with_state(registry.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        let settings = SchemaRegistrySettings { url, credentials: None };
        (SchemaBook::new(SchemaRegistry::new(settings).unwrap()), registry)
    }

    fn requests(registry: &Registry) -> u32 {
        registry.requests.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn each_id_is_asked_for_once() {
        let (book, registry) = book(0).await;
        let wanted = BTreeSet::from([1, 2, 3]);
        assert!(book.known(&wanted).is_none());
        let (one, other) = tokio::join!(book.ask(&wanted), book.ask(&wanted));
        assert_eq!((one.len(), other.len(), requests(&registry)), (3, 3, 3));
        assert!(matches!(one[&1], SchemaAnswer::Known(_)));
        assert!(matches!(&one[&2], SchemaAnswer::Unusable(reason) if reason.contains("type JSON")));
        assert!(matches!(&one[&3], SchemaAnswer::Unusable(reason) if reason.contains("strin")));
        assert!(book.known(&wanted).is_some() && book.known(&BTreeSet::from([1, 9])).is_none());
    }

    #[tokio::test]
    async fn what_is_not_there_is_asked_for_twice() {
        let (book, registry) = book(0).await;
        let answers = book.ask(&BTreeSet::from([4, 9])).await;
        assert!(matches!(answers[&4], SchemaAnswer::Known(_)));
        assert!(matches!(answers[&9], SchemaAnswer::Unknown));
        assert_eq!(requests(&registry), 4);
        assert!(book.known(&BTreeSet::from([9])).is_some(), "it is believed for a while");
        let a_while = Instant::now().checked_sub(UNKNOWN_FOR).unwrap();
        book.0.kept.lock().unknown[0].1 = a_while;
        assert!(book.known(&BTreeSet::from([9])).is_none());
        assert!(book.known(&BTreeSet::from([4])).is_some());
    }

    #[tokio::test]
    async fn a_registry_that_is_away_is_waited_for() {
        let (book, registry) = book(2).await;
        let answers = book.ask(&BTreeSet::from([1])).await;
        assert!(matches!(answers[&1], SchemaAnswer::Known(_)));
        assert_eq!(requests(&registry), 3);
    }

    #[tokio::test]
    async fn no_more_is_kept_than_the_bound() {
        let (book, _) = book(0).await;
        for id in 0..MAX_KEPT as u32 {
            book.0.kept.lock().keep(1_000_000 + id, SchemaAnswer::Unknown);
        }
        let answers = book.ask(&BTreeSet::from([1])).await;
        assert_eq!(answers.len(), 1);
        assert!(book.0.kept.lock().unknown.is_empty());
    }
}
