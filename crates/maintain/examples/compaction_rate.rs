//! How fast compaction reads its input, per core: makes tables of small ZSTD files in a temporary directory and compacts
//! them.
//!
//! `cargo run --release -p pulselake-maintain --example compaction_rate [megabytes] [directory]`
//!
//! For each table: megabytes of input files per second of the compaction thread's processor time, and per second; the
//! memory that compaction says it reserved, and the most that the process held so far (Linux).

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use iceberg::io::FileIOBuilder;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, FormatVersion, NestedField, PrimitiveType,
    Schema, Struct, Type,
};
use iceberg::table::Table;
use iceberg::{NamespaceIdent, Runtime, TableCreation, TableIdent};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use pulselake_commit::catalog::sql::SqlCatalog;
use pulselake_commit::{Catalog, ChangeKind, CommitLimits, TableChange, Unguarded, commit};
use pulselake_maintain::compaction::{ClosedRule, Compaction, TablePolicy, compact_table};
use pulselake_store::LocalStorageFactory;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;
type Column = (&'static str, PrimitiveType, fn(&mut Numbers, i64) -> Value);

enum Value {
    Text(String),
    Long(i64),
    Int(i32),
    Time(i64),
}

/// A small generator of numbers without a pattern (xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> i64 {
        (self.next() % bound) as i64
    }
}

const START_US: i64 = 1_780_000_000_000_000;

fn raw_events() -> Vec<Column> {
    use PrimitiveType::{Int, Long, String as Text, Timestamptz};
    vec![
        ("event_id", Text, |numbers, _| {
            Value::Text(format!("{:016x}{:016x}", numbers.next(), numbers.next()))
        }),
        ("event_timestamp", Timestamptz, |numbers, row| {
            Value::Time(START_US + row * 100 + numbers.below(1_000_000))
        }),
        ("video_id", Text, |numbers, _| {
            let most = 1 + numbers.below(50_000) as u64;
            Value::Text(format!("v_{}", numbers.below(most)))
        }),
        ("user_id", Text, |numbers, _| Value::Text(format!("u_{}", numbers.below(200_000)))),
        ("event_type", Text, |numbers, _| {
            let kinds = ["impression", "play_start", "play_finish", "like", "share", "skip"];
            Value::Text(kinds[numbers.below(6) as usize].to_string())
        }),
        ("payload_json", Text, |numbers, _| {
            let watched = numbers.below(60_000);
            Value::Text(format!(
                r#"{{"watch_time_ms":{watched},"video_duration_ms":60000,"device_os":"iOS","app_version":"14.2.0","network_type":"5G","referral_source":"foryou_page"}}"#
            ))
        }),
        ("source_partition", Int, |_, row| Value::Int((row % 12) as i32)),
        ("source_offset", Long, |_, row| Value::Long(row)),
    ]
}

fn video_stats() -> Vec<Column> {
    use PrimitiveType::{Int, Long, String as Text, Timestamptz};
    let count: fn(&mut Numbers, i64) -> Value = |numbers, _| Value::Long(numbers.below(500));
    vec![
        ("source_partition", Int, |_, row| Value::Int((row % 5_000 % 12) as i32)),
        ("video_id", Text, |_, row| Value::Text(format!("v_{}", row % 5_000))),
        ("window_start", Timestamptz, |_, row| {
            Value::Time(START_US / 60_000_000 * 60_000_000 + row / 5_000 * 60_000_000)
        }),
        ("window_end", Timestamptz, |_, row| {
            Value::Time(START_US / 60_000_000 * 60_000_000 + (row / 5_000 + 1) * 60_000_000)
        }),
        ("impressions", Long, count),
        ("play_start", Long, count),
        ("play_finish", Long, count),
        ("likes", Long, count),
        ("shares", Long, count),
        ("skips", Long, count),
        ("watch_time_sum_ms", Long, |numbers, _| Value::Long(numbers.below(30_000_000))),
        ("revision", Int, |_, _| Value::Int(0)),
        ("processed_at", Timestamptz, |_, row| Value::Time(START_US + row / 5_000 * 60_000_000)),
    ]
}

fn batch(
    table: &Table,
    columns: &[Column],
    numbers: &mut Numbers,
    rows: std::ops::Range<i64>,
) -> Outcome<RecordBatch> {
    let arrow = iceberg::arrow::schema_to_arrow_schema(table.metadata().current_schema())?;
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for (_, _, value) in columns {
        let (mut texts, mut longs, mut ints, mut times) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for row in rows.clone() {
            match value(numbers, row) {
                Value::Text(text) => texts.push(text),
                Value::Long(number) => longs.push(number),
                Value::Int(number) => ints.push(number),
                Value::Time(moment) => times.push(moment),
            }
        }
        arrays.push(match (texts.is_empty(), longs.is_empty(), ints.is_empty()) {
            (false, _, _) => Arc::new(StringArray::from(texts)),
            (_, false, _) => Arc::new(Int64Array::from(longs)),
            (_, _, false) => Arc::new(Int32Array::from(ints)),
            _ => Arc::new(TimestampMicrosecondArray::from(times).with_timezone("+00:00")),
        });
    }
    Ok(RecordBatch::try_new(Arc::new(arrow), arrays)?)
}

async fn write(table: &Table, name: String, rows: &RecordBatch) -> Outcome<DataFile> {
    let level = ZstdLevel::try_new(1)?;
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties))?;
    writer.write(rows)?;
    let bytes = writer.into_inner()?;
    let size = bytes.len() as u64;
    let path = format!("{}/data/{name}.parquet", table.metadata().location());
    table.file_io().new_output(&path)?.write(bytes.into()).await?;
    Ok(DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(path)
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::empty())
        .partition_spec_id(0)
        .record_count(rows.num_rows() as u64)
        .file_size_in_bytes(size)
        .build()?)
}

/// The most memory this process ever held, KiB.
fn most_resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let megabytes: u64 = arguments.next().map_or(Ok(200), |text| text.parse())?;
    let directory = match arguments.next() {
        Some(place) => tempfile::tempdir_in(place)?,
        None => tempfile::tempdir()?,
    };
    let file_io = FileIOBuilder::new(Arc::new(LocalStorageFactory { fsync: false })).build();
    let path = directory.path().join("catalog.db");
    let catalog = SqlCatalog::open_sqlite(path, true, false, "rate", file_io, Runtime::current()).await?;
    let namespace = NamespaceIdent::new("t".to_string());
    catalog.create_namespace(&namespace).await?;
    let always = ClosedRule::Always;
    let tables: BTreeMap<&str, (Vec<Column>, TablePolicy, i64)> = BTreeMap::from([
        ("raw_events", (raw_events(), TablePolicy { closed: always, ..TablePolicy::raw_events() }, 50_000)),
        (
            "video_stats",
            (video_stats(), TablePolicy { closed: always, ..TablePolicy::video_stats() }, 50_000),
        ),
    ]);
    for (name, (columns, policy, rows_each)) in tables {
        let fields = columns.iter().zip(1..).map(|((column, primitive, _), id)| {
            Arc::new(NestedField::required(id, *column, Type::Primitive(primitive.clone())))
        });
        let creation = TableCreation::builder()
            .name(name.to_string())
            .location(format!("file://{}/{name}", directory.path().display()))
            .schema(Schema::builder().with_fields(fields).build()?)
            .format_version(FormatVersion::V2)
            .build();
        catalog.create_table(&namespace, creation).await?;
        let ident = TableIdent::new(namespace.clone(), name.to_string());
        let table = catalog.load_existing(&ident).await?;
        let (mut files, mut bytes, mut numbers) = (Vec::new(), 0, Numbers(0x9E37_79B9_7F4A_7C15));
        while bytes < megabytes << 20 {
            let first = files.len() as i64 * rows_each;
            let rows = batch(&table, &columns, &mut numbers, first..first + rows_each)?;
            let file = write(&table, files.len().to_string(), &rows).await?;
            bytes += file.file_size_in_bytes();
            files.push(file);
        }
        let change = TableChange { commit_id: name.to_string(), kind: ChangeKind::Append { files } };
        commit(&catalog, &ident, &change, &Unguarded, &CommitLimits::default())
            .await
            .map_err(|failure| format!("{failure:?}"))?;
        let mut compaction = Compaction::new(policy);
        compaction.budget.spill_directory = directory.path().to_path_buf();
        let report = compact_table(&catalog, &ident, &compaction).await?;
        let megabytes_read = report.before.bytes as f64 / f64::from(1 << 20);
        let per_second = |ms: u64| megabytes_read / (ms.max(1) as f64 / 1_000.0);
        println!(
            "{name}: {} files of {megabytes_read:.0} MB to {} of {:.0} MB; {:.0} MB/s of processor time, {:.0} MB/s; reserved {} MB, process {} MB",
            report.before.files,
            report.after.files,
            report.after.bytes as f64 / f64::from(1 << 20),
            per_second(report.cpu_ms.unwrap_or(report.elapsed_ms)),
            per_second(report.elapsed_ms),
            report.peak_memory_bytes >> 20,
            most_resident_kib().unwrap_or(0) >> 10,
        );
    }
    Ok(())
}
