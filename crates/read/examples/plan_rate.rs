//! How long it takes to plan a table of many files: makes one (manifests only, no data files) in a temporary directory.
//!
//! `cargo run --release -p pulselake-read --example plan_rate [files] [columns]`

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use iceberg::io::FileIOBuilder;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, FormatVersion, Literal, NestedField,
    PrimitiveType, Schema, Struct, Transform, Type, UnboundPartitionSpec,
};
use iceberg::{NamespaceIdent, Runtime, TableCreation, TableIdent};
use pulselake_commit::catalog::sql::SqlCatalog;
use pulselake_commit::{Catalog, ChangeKind, CommitLimits, TableChange, Unguarded, commit};
use pulselake_read::{PartitionPredicate, plan_table};
use pulselake_store::LocalStorageFactory;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const FILES_PER_COMMIT: usize = 5_000;

fn data_file(location: &str, number: usize, columns: i32) -> Outcome<DataFile> {
    let counts: HashMap<i32, u64> = (1..=columns).map(|id| (id, 1_000)).collect();
    let bounds: HashMap<i32, Datum> = (1..=columns).map(|id| (id, Datum::long(number as i64))).collect();
    let hour = i32::try_from(480_000 + number / 200)?;
    Ok(DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(format!(
            "{location}/data/event_timestamp_hour={hour}/0192f0c5-1234-7abc-8def-{number:012}-0.parquet"
        ))
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::from_iter([Some(Literal::int(hour))]))
        .partition_spec_id(0)
        .record_count(1_000)
        .file_size_in_bytes(100_000)
        .column_sizes(counts.clone())
        .value_counts(counts.clone())
        .null_value_counts(counts)
        .lower_bounds(bounds.clone())
        .upper_bounds(bounds)
        .build()?)
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let files: usize = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let columns: i32 = arguments.next().map_or(Ok(12), |text| text.parse())?;
    let directory = tempfile::tempdir()?;
    let file_io = FileIOBuilder::new(Arc::new(LocalStorageFactory { fsync: false })).build();
    let path = directory.path().join("catalog.db");
    let catalog = SqlCatalog::open_sqlite(path, true, false, "plan", file_io, Runtime::current()).await?;
    let namespace = NamespaceIdent::new("t".to_string());
    catalog.create_namespace(&namespace).await?;
    let fields = (1..=columns).map(|id| {
        let primitive = if id == 1 { PrimitiveType::Timestamptz } else { PrimitiveType::Long };
        Arc::new(NestedField::required(id, format!("c{id}"), Type::Primitive(primitive)))
    });
    let spec = UnboundPartitionSpec::builder()
        .add_partition_field(1, "c1_hour".to_string(), Transform::Hour)?
        .build();
    let location = format!("file://{}/many", directory.path().display());
    let creation = TableCreation::builder()
        .name("many".to_string())
        .location(location.clone())
        .schema(Schema::builder().with_fields(fields).build()?)
        .partition_spec(spec)
        .format_version(FormatVersion::V2)
        .build();
    catalog.create_table(&namespace, creation).await?;
    let ident = TableIdent::new(namespace, "many".to_string());
    let numbers: Vec<usize> = (0..files).collect();
    for part in numbers.chunks(FILES_PER_COMMIT) {
        let added =
            part.iter().map(|&number| data_file(&location, number, columns)).collect::<Outcome<Vec<_>>>()?;
        let kind = ChangeKind::Append { files: added };
        let change = TableChange { commit_id: format!("commit-{}", part[0]), kind };
        commit(&catalog, &ident, &change, &Unguarded, &CommitLimits::default())
            .await
            .map_err(|failure| format!("{failure:?}"))?;
    }
    let table = catalog.load_existing(&ident).await?;
    for _ in 0..3 {
        let begun = Instant::now();
        let plan = plan_table(&table, None, &PartitionPredicate::all()).await?;
        println!(
            "all: {} files of {} manifests in {:?}",
            plan.files.len(),
            plan.manifests.len(),
            begun.elapsed()
        );
    }
    let one_day = PartitionPredicate::all().between("c1_hour", Datum::int(480_000), Datum::int(480_023));
    let begun = Instant::now();
    let plan = plan_table(&table, None, &one_day).await?;
    println!("one day: {} files in {:?}", plan.files.len(), begun.elapsed());
    Ok(())
}
