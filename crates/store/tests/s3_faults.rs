//! What goes wrong on the way to S3 and back: a write succeeds whole, or fails and leaves nothing.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::proxy::{self, Fate, Seen};
use common::{Bed, PART_BYTES, await_unfinished_uploads, noise, s3_endpoint, s3_settings};

/// A file of four parts.
const LARGE: usize = 3 * PART_BYTES + 1234;

const SLOW_DOWN: Fate = Fate::Answer("503 Slow Down", "SlowDown");
const NO_SUCH_UPLOAD: Fate = Fate::Answer("404 Not Found", "NoSuchUpload");

/// A warehouse behind a proxy. `allow_s`: seconds for one try.
async fn bed(allow_s: u64, fate: impl Fn(&Seen) -> Fate + Send + Sync + 'static) -> Bed {
    let mut settings = s3_settings(&proxy::start(&s3_endpoint(), fate).await);
    settings.limits.max_retries = 4;
    settings.limits.retry_timeout_ms = 20_000;
    settings.limits.request_timeout_ms = allow_s * 1000;
    Bed::s3_by(settings)
}

/// The same warehouse, past the proxy.
fn direct(bed: &Bed) -> Bed {
    let settings = pulselake_store::StoreSettings { fsync: true, s3: s3_settings(&s3_endpoint()) };
    let warehouse = pulselake_store::Warehouse::parse(bed.warehouse.location(), settings).unwrap();
    Bed { warehouse, directory: None }
}

/// The first `times` requests that are `chosen` suffer a fate; how many were chosen.
fn first(
    times: usize,
    chosen: impl Fn(&Seen) -> bool + Send + Sync + 'static,
    fate: impl Fn() -> Fate + Send + Sync + 'static,
) -> (Arc<AtomicUsize>, impl Fn(&Seen) -> Fate + Send + Sync + 'static) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let choose = move |seen: &Seen| {
        if chosen(seen) && counted.fetch_add(1, Ordering::SeqCst) < times { fate() } else { Fate::Pass }
    };
    (count, choose)
}

/// Writes a large file by way of the proxy; it must come out whole.
async fn require_whole(bed: &Bed) {
    let bytes = noise(LARGE);
    bed.write_in_pieces("a.parquet", &bytes, 1_000_003).await.unwrap();
    assert!(direct(bed).read("a.parquet").await.unwrap() == bytes);
    await_unfinished_uploads(&key(bed), 0).await;
}

/// Writes a large file by way of the proxy; it must fail, say that waiting may help, and leave nothing.
async fn require_clean_failure(bed: &Bed, words: &str) {
    let error = bed.write_in_pieces("a.parquet", &noise(LARGE), 1_000_003).await.unwrap_err();
    assert!(error.message().contains(words), "{error}");
    assert!(error.retryable(), "{error}");
    assert!(!direct(bed).exists("a.parquet").await);
    assert_eq!(direct(bed).list("").await, []);
    await_unfinished_uploads(&key(bed), 0).await;
}

fn key(bed: &Bed) -> String {
    bed.warehouse.location()["s3://lake/".len()..].to_string()
}

#[tokio::test]
#[ignore = "needs an S3 server: run through make test"]
async fn a_store_that_asks_to_slow_down_gets_the_file_later() {
    let (count, fate) = first(4, |_| true, || SLOW_DOWN);
    require_whole(&bed(10, fate).await).await;
    assert_eq!(
        count.load(Ordering::SeqCst),
        4 + 6,
        "one to begin, four parts, one to finish, and what was refused"
    );
}

#[tokio::test]
#[ignore = "needs an S3 server: run through make test"]
async fn a_store_that_refuses_a_part_for_good_leaves_nothing() {
    let (_, fate) = first(usize::MAX, |seen| seen.is_part(2), || SLOW_DOWN);
    require_clean_failure(&bed(10, fate).await, "the store is overloaded, nothing was committed").await;
}

#[tokio::test]
#[ignore = "needs an S3 server: run through make test"]
async fn a_connection_that_breaks_in_the_middle_of_a_part_is_made_again() {
    let (count, fate) = first(2, |seen| seen.is_part(2), || Fate::BreakBodyAfter(PART_BYTES / 2));
    require_whole(&bed(10, fate).await).await;
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[tokio::test]
#[ignore = "needs an S3 server: run through make test"]
async fn connections_that_always_break_in_the_middle_of_a_part_leave_nothing() {
    let (_, fate) = first(usize::MAX, |seen| seen.is_part(3), || Fate::BreakBodyAfter(PART_BYTES / 2));
    require_clean_failure(&bed(10, fate).await, "the connection to http://127.0.0.1").await;
}

#[tokio::test]
#[ignore = "needs an S3 server: run through make test"]
async fn a_lost_answer_to_a_part_is_asked_for_again() {
    let (count, fate) = first(1, |seen| seen.is_part(1), || Fate::LoseAnswer);
    require_whole(&bed(10, fate).await).await;
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
#[ignore = "needs an S3 server: run through make test"]
async fn a_lost_answer_to_the_last_step_is_found_out() {
    let (count, fate) = first(1, Seen::is_completion, || Fate::LoseAnswer);
    require_whole(&bed(10, fate).await).await;
    assert_eq!(count.load(Ordering::SeqCst), 2, "the completion was not asked for again");
}

#[tokio::test]
#[ignore = "needs an S3 server: run through make test"]
async fn a_store_that_forgets_a_finished_upload_is_asked_for_the_file() {
    let completions = AtomicUsize::new(0);
    let fate = move |seen: &Seen| match seen.is_completion() {
        true if completions.fetch_add(1, Ordering::SeqCst) == 0 => Fate::LoseAnswer,
        true => NO_SUCH_UPLOAD,
        false => Fate::Pass,
    };
    require_whole(&bed(10, fate).await).await;
}

#[tokio::test]
#[ignore = "needs an S3 server: run through make test"]
async fn an_older_file_is_not_mistaken_for_the_one_that_failed() {
    let (_, fate) = first(usize::MAX, Seen::is_completion, || NO_SUCH_UPLOAD);
    let bed = bed(10, fate).await;
    let older = noise(LARGE);
    direct(&bed).write("a.parquet", older.clone()).await.unwrap();
    let newer: Bytes = vec![7; LARGE].into();
    let error = bed.write("a.parquet", newer).await.unwrap_err();
    assert!(error.message().contains("incomplete uploads") && error.retryable(), "{error}");
    assert!(direct(&bed).read("a.parquet").await.unwrap() == older);
    await_unfinished_uploads(&key(&bed), 0).await;
}

#[tokio::test]
#[ignore = "needs an S3 server: run through make test"]
async fn a_lost_answer_to_a_small_file_is_asked_for_again() {
    let (count, fate) = first(2, Seen::is_plain_put, || Fate::LoseAnswer);
    let bed = bed(10, fate).await;
    bed.write("a.avro", Bytes::from_static(b"small")).await.unwrap();
    assert_eq!(direct(&bed).read("a.avro").await.unwrap(), Bytes::from_static(b"small"));
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[tokio::test]
#[ignore = "needs an S3 server: run through make test"]
async fn a_slow_connection_is_waited_for() {
    let (_, fate) = first(usize::MAX, |seen| seen.is_part(1), || Fate::Trickle(Duration::from_millis(10)));
    require_whole(&bed(20, fate).await).await;
}

#[tokio::test]
#[ignore = "needs an S3 server: run through make test"]
async fn a_request_that_nobody_answers_is_made_again() {
    let (count, fate) = first(1, |seen| seen.is_part(2), || Fate::Stall);
    require_whole(&bed(3, fate).await).await;
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
#[ignore = "needs an S3 server: run through make test"]
async fn a_store_that_never_answers_is_given_up_in_bounded_time() {
    let (_, fate) = first(usize::MAX, Seen::is_plain_put, || Fate::Stall);
    let bed = bed(1, fate).await;
    let begun = Instant::now();
    let error = bed.write("a.avro", Bytes::from_static(b"small")).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    assert!(error.message().contains("did not answer within 1000 ms"), "{error}");
    assert!(error.retryable());
    assert!(!direct(&bed).exists("a.avro").await);
}

#[tokio::test]
#[ignore = "needs an S3 server: run through make test"]
async fn parts_travel_at_once_but_no_more_than_allowed() {
    let (count, fate) = first(usize::MAX, |seen| seen.target.contains("partNumber="), || Fate::Stall);
    let mut settings = s3_settings(&proxy::start(&s3_endpoint(), fate).await);
    settings.limits.concurrent_parts = 2;
    settings.limits.request_timeout_ms = 2000;
    settings.limits.max_retries = 0;
    require_clean_failure(&Bed::s3_by(settings), "did not answer").await;
    assert_eq!(count.load(Ordering::SeqCst), 2, "parts that were sent before any was answered");
}

#[tokio::test]
#[ignore = "needs an S3 server: run through make test"]
async fn a_read_that_breaks_in_the_middle_is_never_short() {
    let (count, fate) = first(2, Seen::is_get, || Fate::BreakAnswerAfter(1 << 20));
    let bed = bed(10, fate).await;
    let bytes = noise(LARGE);
    direct(&bed).write("a.parquet", bytes.clone()).await.unwrap();
    match bed.read("a.parquet").await {
        Ok(read) => assert!(read == bytes, "{} bytes", read.len()),
        Err(error) => assert!(error.retryable(), "{error}"),
    }
    assert!(count.load(Ordering::SeqCst) > 0);
    let reader =
        bed.warehouse.files().file_io().new_input(bed.at("a.parquet")).unwrap().reader().await.unwrap();
    let part = reader.read(1000..LARGE as u64).await.unwrap();
    assert!(part == bytes.slice(1000..));
}
