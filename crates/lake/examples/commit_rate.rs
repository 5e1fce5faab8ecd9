//! Milliseconds per commit as a table grows: 12 partitions in the ledger, one small file a commit. Run with `--release`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Instant;

use pulselake_lake::{Lake, LakeSettings, LedgeredAppend, OpenMode};
use pulselake_ledger::{Advance, LastSeen, PartitionLedger};
use pulselake_model::tables::LakeTable;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let directory = tempfile::tempdir().unwrap();
    let settings = LakeSettings {
        catalog_uri: format!("sqlite://{}/catalog.db", directory.path().display()),
        warehouse: format!("file://{}/warehouse", directory.path().display()),
        fsync: true,
        ..LakeSettings::new("", "")
    };
    let lake = Lake::open(&settings, OpenMode::CreateIfMissing).await.unwrap();
    lake.ensure_tables(&LakeTable::OF_EVENTS).await.unwrap();
    let mut since = Instant::now();
    for seq in 0..1_000 {
        let advances = (0..12)
            .map(|partition| Advance {
                topic: "content_events".into(),
                partition,
                built_on_seq: seq,
                entry: PartitionLedger {
                    next: seq * 1_000_000,
                    last: Some(LastSeen {
                        offset: seq * 1_000_000,
                        timestamp: 1_770_458_400_000,
                        hash: u64::MAX,
                    }),
                    ..Default::default()
                },
            })
            .collect();
        let request = LedgeredAppend {
            commit_id: uuid::Uuid::now_v7().to_string(),
            cluster_id: "MkU3OEVBNTcwNTJENDM2Qg".into(),
            fingerprint: "decoder-1".into(),
            advances,
            files: vec![data_file(seq)],
            deletes: Vec::new(),
            replayed: None,
        };
        lake.append(LakeTable::RawEvents, &request).await.unwrap();
        if (seq + 1) % 100 == 0 {
            let location = lake.table_overview(LakeTable::RawEvents).await.unwrap().metadata_location;
            let bytes = std::fs::metadata(location.trim_start_matches("file://")).unwrap().len();
            println!(
                "{:5} commits: {:.1} ms each, metadata {} KiB",
                seq + 1,
                since.elapsed().as_secs_f64() * 10.0,
                bytes / 1024
            );
            since = Instant::now();
        }
    }
}

/// A description is enough: nobody reads the file.
fn data_file(number: i64) -> iceberg::spec::DataFile {
    use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, Literal, Struct};
    DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(format!("file:///nowhere/{number}.parquet"))
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::from_iter([Some(Literal::int(number as i32))]))
        .partition_spec_id(0)
        .record_count(1_000)
        .file_size_in_bytes(100_000)
        .build()
        .unwrap()
}
