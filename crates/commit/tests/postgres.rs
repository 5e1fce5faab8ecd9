//! What a PostgreSQL server does to its clients, and that the outcome of a commit is known all the same.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use pulselake_commit::catalog::{CatalogSettings, open};
use pulselake_commit::{CatalogError, ChangeKind};
use sqlx::postgres::PgPool;
use support::{Kind, LocalFiles, Place, Stage, files, look, service};
use uuid::Uuid;

async fn try_open(uri: &str, create: bool) -> Result<(), CatalogError> {
    let mut settings = CatalogSettings::new(uri, "file:///warehouse");
    settings.connect_timeout_ms = 1_000;
    open(&settings, create, Arc::new(LocalFiles::default()), iceberg::Runtime::current()).await.map(|_| ())
}

async fn pool() -> PgPool {
    PgPool::connect(&service("PULSELAKE_TEST_POSTGRES")).await.unwrap()
}

/// A database of its own, and its address.
async fn database() -> (String, String) {
    let name = format!("d{}", Uuid::now_v7().simple());
    sqlx::query(&format!("CREATE DATABASE {name}")).execute(&pool().await).await.unwrap();
    let uri = service("PULSELAKE_TEST_POSTGRES");
    let (server, _) = uri.rsplit_once('/').unwrap();
    (format!("{server}/{name}"), name)
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run through make test"]
async fn tables_are_created_where_it_was_asked_for() {
    let (uri, name) = database().await;
    let error = try_open(&uri, false).await.unwrap_err();
    assert!(matches!(error, CatalogError::NoCatalogTables { .. }) && !error.is_transient(), "{error}");
    assert!(error.to_string().contains(&name), "{error}");
    // All at once.
    let openers: Vec<_> = (0..4)
        .map(|_| {
            tokio::spawn({
                let uri = uri.clone();
                async move { try_open(&uri, true).await }
            })
        })
        .collect();
    for opener in openers {
        opener.await.unwrap().unwrap();
    }
    try_open(&uri, false).await.unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run through make test"]
async fn what_a_person_has_to_put_right_is_told() {
    let uri = service("PULSELAKE_TEST_POSTGRES");
    let (server, _) = uri.rsplit_once('/').unwrap();
    let error = try_open(&format!("{server}/nowhere"), true).await.unwrap_err();
    assert!(!error.is_transient() && error.to_string().contains("create the database"), "{error}");
    let stranger = uri.replace("postgres@", "stranger:hush@");
    let error = try_open(&stranger, true).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(!error.is_transient() && text.contains("put the right user") && !text.contains("hush"), "{text}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run through make test"]
async fn a_server_that_is_away_may_come_back() {
    // A port on which nobody listens: this very listener is gone when it is used.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = try_open(&format!("postgres://me:hush@127.0.0.1:{port}/lake"), true).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(
        error.is_transient() && text.contains("is the server running") && !text.contains("hush"),
        "{text}"
    );
}

/// The row of the stage's table, locked until the transaction ends.
async fn lock(pool: &PgPool, stage: &Stage) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut locked = pool.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM iceberg_tables WHERE catalog_name = $1 FOR UPDATE")
        .bind(&stage.place.settings.name)
        .fetch_one(&mut *locked)
        .await
        .unwrap();
    locked
}

/// A stage whose connections carry a name, and wait for a lock at most so long.
async fn stage(lock_timeout_ms: u32) -> (Arc<Stage>, String) {
    let mut place = Place::new(Kind::Postgres);
    let options = format!("?options=-c%20lock_timeout%3D{lock_timeout_ms}");
    place.settings.uri.push_str(&options);
    let name = place.settings.name.clone();
    (Arc::new(Stage::of(place).await), name)
}

async fn begin_append(stage: &Arc<Stage>) -> tokio::task::JoinHandle<support::Outcome> {
    let file = files::data(&stage.load().await, "a", &[1]).await;
    let stage = stage.clone();
    tokio::spawn(async move { stage.try_commit(ChangeKind::Append { files: vec![file] }).await })
}

/// Waits until a swap stands before the lock, and returns its server process.
async fn waiting_swap(pool: &PgPool) -> i32 {
    for _ in 0..2_000 {
        let found: Option<i32> = sqlx::query_scalar(
            "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE iceberg_tables%'
             AND datname = current_database()",
        )
        .fetch_optional(pool)
        .await
        .unwrap();
        if let Some(pid) = found {
            return pid;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no swap waits for the lock");
}

async fn refusals(pool: &PgPool, before: i32) {
    for _ in 0..2_000 {
        // Another process, or none for a moment: the first one has been refused.
        let waits: Vec<i32> = sqlx::query_scalar("SELECT pid FROM pg_stat_activity WHERE pid = $1")
            .bind(before)
            .fetch_all(pool)
            .await
            .unwrap();
        if waits.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("process {before} does not end");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run through make test"]
async fn a_locked_row_is_waited_for() {
    let (stage, _) = stage(50).await;
    let pool = pool().await;
    let locked = lock(&pool, &stage).await;
    let appending = begin_append(&stage).await;
    // Longer than the lock time-out: the swap is refused several times, each without effect.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!appending.is_finished());
    locked.rollback().await.unwrap();
    let landing = appending.await.unwrap().unwrap();
    assert_eq!((landing.attempts, landing.conflicts), (1, 0));
    assert_eq!(stage.ids().await, [1]);
    look::assert_nothing_left_behind(&stage.load().await, "").await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run through make test"]
async fn a_connection_that_is_ended_in_the_middle_of_a_commit_doubles_nothing() {
    let (database_uri, _) = database().await;
    let mut place = Place::new(Kind::Postgres);
    place.settings.uri = database_uri.clone();
    let stage = Arc::new(Stage::of(place).await);
    let pool = PgPool::connect(&database_uri).await.unwrap();
    let locked = lock(&pool, &stage).await;
    let appending = begin_append(&stage).await;
    let victim = waiting_swap(&pool).await;
    let ended: bool =
        sqlx::query_scalar("SELECT pg_terminate_backend($1)").bind(victim).fetch_one(&pool).await.unwrap();
    assert!(ended);
    refusals(&pool, victim).await;
    locked.rollback().await.unwrap();
    let landing = appending.await.unwrap().unwrap();
    assert!(!landing.already_there);
    assert_eq!(stage.ids().await, [1]);
    assert_eq!(look::commit_ids(&stage.load().await).len(), 1);
    look::assert_nothing_left_behind(&stage.load().await, "").await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run through make test"]
async fn connections_that_broke_while_idle_are_made_anew() {
    let (database_uri, _) = database().await;
    let mut place = Place::new(Kind::Postgres);
    place.settings.uri = database_uri.clone();
    let stage = Stage::of(place).await;
    stage.append("a", &[1]).await;
    let pool = PgPool::connect(&database_uri).await.unwrap();
    sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pulselake' AND datname = current_database()")
        .fetch_all(&pool)
        .await
        .unwrap();
    stage.append("a", &[2]).await;
    assert_eq!(stage.ids().await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: run through make test"]
async fn refusals_of_strict_isolation_lose_nothing() {
    let mut place = Place::new(Kind::Postgres);
    place.settings.uri.push_str("?options=-c%20default_transaction_isolation%3Dserializable");
    let stage = Arc::new(Stage::of(place).await);
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let stage = stage.clone();
            tokio::spawn(async move {
                for number in 0..5 {
                    stage.append("a", &[writer * 5 + number]).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(stage.ids().await, (0..20).collect::<Vec<_>>());
    look::assert_nothing_left_behind(&stage.load().await, "").await;
}
