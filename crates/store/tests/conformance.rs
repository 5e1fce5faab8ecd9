//! What every store promises, asked of each in the same words.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use common::{Bed, noise};
use futures::TryStreamExt;

async fn a_file_comes_back_as_it_was_written(bed: Bed) {
    let bytes = noise(123_457);
    bed.write("db/table/data/a.parquet", bytes.clone()).await.unwrap();
    assert_eq!(bed.read("db/table/data/a.parquet").await.unwrap(), bytes);
    let file_io = bed.warehouse.files().file_io();
    let input = file_io.new_input(bed.at("db/table/data/a.parquet")).unwrap();
    assert_eq!(input.metadata().await.unwrap().size, 123_457);
    assert!(bed.exists("db/table/data/a.parquet").await);
    assert!(!bed.exists("db/table/data/b.parquet").await);
    assert!(!bed.exists("db/table/data/a.parquet.b").await);
}

async fn an_empty_file_is_a_file(bed: Bed) {
    bed.write("at-once", Bytes::new()).await.unwrap();
    bed.write_in_pieces("in-pieces", &Bytes::new(), 1).await.unwrap();
    for name in ["at-once", "in-pieces"] {
        assert!(bed.exists(name).await);
        assert_eq!(bed.read(name).await.unwrap(), Bytes::new());
    }
    let sizes: Vec<_> = bed.list("").await.iter().map(|file| file.size_bytes).collect();
    assert_eq!(sizes, [0, 0]);
}

async fn ranges_are_exact_and_none_is_short(bed: Bed) {
    let bytes = noise(100_000);
    bed.write("a", bytes.clone()).await.unwrap();
    let file_io = bed.warehouse.files().file_io();
    let reader = file_io.new_input(bed.at("a")).unwrap().reader().await.unwrap();
    for range in [0..1, 0..100_000, 99_999..100_000, 50_000..50_001, 3..3, 0..0, 12_345..67_890] {
        let part = reader.read(range.clone()).await.unwrap();
        assert_eq!(part, bytes.slice(range.start as usize..range.end as usize), "{range:?}");
    }
    for range in [99_999..100_001, 100_000..100_010, 200_000..200_001] {
        assert!(reader.read(range.clone()).await.is_err(), "{range:?}");
    }
}

async fn forty_megabytes_come_back_as_they_were_written(bed: Bed) {
    let bytes = noise(40_000_000);
    bed.write_in_pieces("in-pieces.parquet", &bytes, 1_000_003).await.unwrap();
    bed.write("at-once.parquet", bytes.clone()).await.unwrap();
    for name in ["in-pieces.parquet", "at-once.parquet"] {
        // Not compared by assert_eq: nobody wants to see them.
        assert!(bed.read(name).await.unwrap() == bytes, "{name}");
    }
    let file_io = bed.warehouse.files().file_io();
    let reader = file_io.new_input(bed.at("in-pieces.parquet")).unwrap().reader().await.unwrap();
    let part = common::PART_BYTES as u64;
    for edge in [part, 2 * part, 7 * part] {
        let across = reader.read(edge - 10..edge + 10).await.unwrap();
        assert_eq!(across, bytes.slice(edge as usize - 10..edge as usize + 10));
    }
}

async fn sizes_around_a_part_come_back(bed: Bed) {
    let part = common::PART_BYTES;
    for length in [part - 1, part, part + 1, 2 * part, 2 * part + 1] {
        let bytes = noise(length);
        bed.write_in_pieces("a", &bytes, 999_999).await.unwrap();
        assert!(bed.read("a").await.unwrap() == bytes, "{length}");
        bed.write_in_pieces("a", &bytes, 2 * length).await.unwrap();
        assert!(bed.read("a").await.unwrap() == bytes, "{length} in one piece");
    }
}

async fn overwriting_replaces_the_whole_file(bed: Bed) {
    let large = noise(2 * common::PART_BYTES);
    bed.write_in_pieces("a", &large, 1 << 20).await.unwrap();
    bed.write("a", Bytes::from_static(b"small")).await.unwrap();
    assert_eq!(bed.read("a").await.unwrap(), Bytes::from_static(b"small"));
    bed.write_in_pieces("a", &large, 1 << 20).await.unwrap();
    assert!(bed.read("a").await.unwrap() == large);
}

async fn a_reader_sees_nothing_or_all_of_a_file(bed: Bed) {
    const LENGTH: usize = common::PART_BYTES + 1000;
    const VERSIONS: u8 = 6;
    let output = bed.warehouse.files().file_io().new_output(bed.at("a")).unwrap();
    let mut writer = output.writer().await.unwrap();
    writer.write(vec![0; LENGTH].into()).await.unwrap();
    assert!(!bed.exists("a").await, "visible before it is closed");
    assert!(bed.list("").await.iter().all(|file| file.is_temporary), "listed before it is closed");
    writer.close().await.unwrap();

    let writes = async {
        for version in 1..=VERSIONS {
            bed.write_in_pieces("a", &vec![version; LENGTH].into(), 700_000).await.unwrap();
        }
    };
    let reads = async {
        let mut newest = 0;
        while newest < VERSIONS {
            let read = bed.read("a").await.unwrap();
            assert_eq!(read.len(), LENGTH);
            assert!(read.iter().all(|byte| *byte == read[0]), "two versions in one file");
            assert!(read[0] >= newest, "version {} after {newest}", read[0]);
            newest = read[0];
        }
    };
    tokio::join!(writes, reads);
}

async fn a_dropped_writer_leaves_nothing(bed: Bed) {
    let output = bed.warehouse.files().file_io().new_output(bed.at("dropped")).unwrap();
    let mut writer = output.writer().await.unwrap();
    writer.write(noise(3 * common::PART_BYTES)).await.unwrap();
    if bed.directory.is_none() {
        common::await_unfinished_uploads(&bed.at("dropped")["s3://lake/".len()..], 1).await;
    }
    drop(writer);
    assert!(!bed.exists("dropped").await);
    assert_eq!(bed.list("").await, []);
    if bed.directory.is_none() {
        common::await_unfinished_uploads(&bed.at("dropped")["s3://lake/".len()..], 0).await;
    }
}

async fn a_closed_writer_takes_no_more(bed: Bed) {
    let output = bed.warehouse.files().file_io().new_output(bed.at("a")).unwrap();
    let mut writer = output.writer().await.unwrap();
    writer.write(Bytes::from_static(b"all")).await.unwrap();
    writer.close().await.unwrap();
    writer.close().await.unwrap();
    assert!(writer.write(Bytes::from_static(b"more")).await.is_err());
    drop(writer);
    assert_eq!(bed.read("a").await.unwrap(), Bytes::from_static(b"all"));
}

async fn deleting_what_is_not_there_is_fine(bed: Bed) {
    let file_io = bed.warehouse.files().file_io();
    file_io.delete(bed.at("missing")).await.unwrap();
    file_io.delete_prefix(bed.at("missing")).await.unwrap();
    for name in ["a", "t/a", "t/b/c", "t2/a", "u/a", "u/b"] {
        bed.write(name, Bytes::from_static(b"x")).await.unwrap();
    }
    file_io.delete(bed.at("a")).await.unwrap();
    file_io.delete_prefix(bed.at("t")).await.unwrap();
    let stream = futures::stream::iter([bed.at("u/a"), bed.at("missing")]);
    file_io.delete_stream(stream).await.unwrap();
    let left: Vec<_> = bed.list("").await.into_iter().map(|file| file.location).collect();
    assert_eq!(left, [bed.at("t2/a"), bed.at("u/b")]);
}

async fn one_file_that_cant_be_deleted_stops_no_other(bed: Bed) {
    let names: Vec<_> = (0..50).map(|number| format!("d/{number}")).collect();
    for name in &names {
        bed.write(name, Bytes::from_static(b"x")).await.unwrap();
    }
    let mut locations: Vec<_> = names.iter().map(|name| bed.at(name)).collect();
    locations.insert(10, "gs://bucket/file".to_string());
    let outcome = bed.warehouse.delete(locations).await;
    assert_eq!(outcome.deleted, 50);
    assert_eq!(outcome.failed.len(), 1);
    assert!(outcome.failed[0].to_string().contains("gs://bucket/file"), "{}", outcome.failed[0]);
    assert_eq!(bed.list("").await, []);
}

async fn thousands_of_files_are_listed_each_once(bed: Bed) {
    const FILES: usize = 2_300;
    let before_ms = now_ms();
    let name = |number: usize| format!("t/data/part={}/{number:05}.parquet", number % 7);
    futures::stream::iter((0..FILES).map(Ok))
        .try_for_each_concurrent(16, |number| bed.write_owned(name(number), vec![b'x'; number % 100]))
        .await
        .unwrap();
    bed.write("t2/data/other.parquet", Bytes::new()).await.unwrap();

    for prefix in ["t", "t/", "t/data"] {
        let listed = bed.list(prefix).await;
        assert_eq!(listed.len(), FILES, "{prefix}");
        let sizes: HashMap<_, _> =
            listed.iter().map(|file| (file.location.clone(), file.size_bytes)).collect();
        for number in 0..FILES {
            assert_eq!(sizes[&bed.at(&name(number))], number as u64 % 100);
        }
        // Stores tell time in seconds, by their own clock.
        let recent = |at_ms: i64| at_ms > before_ms - 60_000 && at_ms < now_ms() + 60_000;
        assert!(listed.iter().all(|file| recent(file.modified_at_ms) && !file.is_temporary));
    }
    assert_eq!(bed.list("nothing-here").await, []);
}

async fn odd_names_are_taken_and_given_as_they_are(bed: Bed) {
    let names = [
        "day=2026-11-24/a b.parquet",
        "tag=100%/a.parquet",
        "tag=a%20b%2Fc/a.parquet",
        "tag=a+b&c=d/a.parquet",
        "tag=what?/a#b.parquet",
        "tag=日本語/ünï.parquet",
        "tag=🎬/a.parquet",
        "tag='q\"uote'/a.parquet",
        "tag=[x]{y}(z)/a~b^c`d|e.parquet",
        "tag=<a>&amp;/a.parquet",
        "tag=a:b;c,d@e!$/*.parquet",
        "tag=back\\slash/a.parquet",
        "tag= lead/ and trail /a.parquet",
        "tag=__HIVE_DEFAULT_PARTITION__/...parquet",
    ];
    for name in names {
        bed.write(name, name.to_string()).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let mut wanted: Vec<_> = names.iter().map(|name| bed.at(name)).collect();
    wanted.sort();
    let listed: Vec<_> = bed.list("").await.into_iter().map(|file| file.location).collect();
    assert_eq!(listed, wanted);
    for name in names {
        assert_eq!(bed.read(name).await.unwrap(), Bytes::from(name.to_string()));
    }
    // What was listed can be deleted by that name.
    assert_eq!(bed.warehouse.delete(listed).await.deleted, names.len() as u64);
    assert_eq!(bed.list("").await, []);
}

async fn a_missing_file_is_an_error_that_waiting_does_not_mend(bed: Bed) {
    bed.write("other", Bytes::new()).await.unwrap();
    let file_io = bed.warehouse.files().file_io();
    let missing = file_io.new_input(bed.at("missing.parquet")).unwrap();
    let by_reader = match missing.reader().await {
        Ok(reader) => reader.read(0..10).await.unwrap_err(),
        Err(error) => error,
    };
    let errors = [missing.read().await.unwrap_err(), missing.metadata().await.err().unwrap(), by_reader];
    for error in errors {
        let message = error.message();
        assert!(message.contains("missing.parquet"), "{message}");
        assert!(message.contains("it was deleted or moved: restore it"), "{message}");
        assert!(!error.retryable(), "{message}");
    }
}

async fn one_file_io_reaches_every_store(bed: Bed) {
    let elsewhere = tempfile::tempdir().unwrap();
    let local = format!("file://{}/b", elsewhere.path().to_str().unwrap());
    let file_io = bed.warehouse.files().file_io();
    bed.write("a", Bytes::from_static(b"here")).await.unwrap();
    file_io.new_output(&local).unwrap().write(Bytes::from_static(b"there")).await.unwrap();
    assert_eq!(file_io.new_input(&local).unwrap().read().await.unwrap(), Bytes::from_static(b"there"));
    assert_eq!(bed.read("a").await.unwrap(), Bytes::from_static(b"here"));
    let message = file_io.new_input("gs://bucket/a").unwrap_err().to_string();
    assert!(message.contains("gs://bucket/a") && message.contains("s3://bucket/prefix"), "{message}");
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

impl Bed {
    async fn write_owned(&self, name: String, bytes: Vec<u8>) -> iceberg::Result<()> {
        self.write(&name, bytes).await
    }
}

/// Each promise as a test of each store.
macro_rules! on_every_store {
    ($($promise:ident),* $(,)?) => {
        mod on_local_files {
            $(
                #[tokio::test]
                async fn $promise() {
                    super::$promise(super::Bed::local()).await;
                }
            )*
        }
        mod on_s3 {
            $(
                #[tokio::test]
                #[ignore = "needs an S3 server: run through make test"]
                async fn $promise() {
                    super::$promise(super::Bed::s3()).await;
                }
            )*
        }
    };
}

on_every_store!(
    a_file_comes_back_as_it_was_written,
    an_empty_file_is_a_file,
    ranges_are_exact_and_none_is_short,
    forty_megabytes_come_back_as_they_were_written,
    sizes_around_a_part_come_back,
    overwriting_replaces_the_whole_file,
    a_reader_sees_nothing_or_all_of_a_file,
    a_dropped_writer_leaves_nothing,
    a_closed_writer_takes_no_more,
    deleting_what_is_not_there_is_fine,
    one_file_that_cant_be_deleted_stops_no_other,
    thousands_of_files_are_listed_each_once,
    odd_names_are_taken_and_given_as_they_are,
    a_missing_file_is_an_error_that_waiting_does_not_mend,
    one_file_io_reaches_every_store,
);
