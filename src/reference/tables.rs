//! docs/tables.md: every table as it is created, read back from the metadata of a lake that was made for it. What rows and columns
//! mean is in `table_words` and `column_words`; a table or column without words fails the test, and so do words without a column.

use std::collections::BTreeSet;
use std::fmt::Write;

use iceberg::spec::{TableMetadata, Transform, Type};
use pulselake_lake::{Lake, LakeSettings, OpenMode};
use pulselake_model::tables::LakeTable;

use super::column_words::{COLUMNS, Words, words_of};
use super::golden::{NOTE, assert_page, cell};
use super::table_words::about;

const ABOUT: &str = "\
Every table is Iceberg, format version 2 unless `lake.format_version` says 3. Files are Parquet with ZSTD. Timestamps are microseconds in UTC (`timestamptz`). \
*Null* says that a value may be missing. *Sort* is the order in the files that compaction makes; streamed files are not sorted. \
`dims.dim_*`, their histories and `silver.fact_user_engagement` gain columns when their sources do: those follow behind the ones below.

Retention: rows stay until somebody takes them away, but where something else is said. What can take them away is `maintenance.gold_max_age_ms` and `pulselake erase` \
([maintenance](maintenance.md)).
";

#[tokio::test]
async fn the_page_of_tables_is_what_the_code_creates() {
    let directory = tempfile::tempdir().unwrap();
    let settings = LakeSettings {
        fsync: false,
        ..LakeSettings::new(
            format!("sqlite://{}/catalog.db", directory.path().display()),
            format!("file://{}/warehouse", directory.path().display()),
        )
    };
    let lake = Lake::open(&settings, OpenMode::CreateIfMissing).await.unwrap();
    lake.ensure_tables(&LakeTable::ALL).await.unwrap();
    let mut page = format!("# Tables\n\n{NOTE}\n\n{ABOUT}");
    let mut used = BTreeSet::new();
    for namespace in ["bronze", "gold", "dims", "silver", "qa"] {
        let _ = write!(page, "\n## {namespace}\n");
        for table in LakeTable::ALL.into_iter().filter(|table| table.namespace() == namespace) {
            let loaded = lake.load(table).await.unwrap();
            write_table(&mut page, table, loaded.metadata(), &mut used);
        }
    }
    assert_eq!(
        page.matches(
            "
### "
        )
        .count(),
        LakeTable::ALL.len(),
        "a table of another namespace"
    );
    for (index, words) in COLUMNS.iter().enumerate() {
        assert!(used.contains(&index), "no table has {} of {:?}", words.column, words.scope);
    }
    assert_page("docs/tables.md", &page);
}

fn write_table(page: &mut String, table: LakeTable, metadata: &TableMetadata, used: &mut BTreeSet<usize>) {
    let schema = metadata.current_schema();
    let column = |id: i32| schema.name_by_field_id(id).unwrap_or("?").to_owned();
    let partition: Vec<String> = metadata
        .default_partition_spec()
        .fields()
        .iter()
        .map(|field| transformed(&column(field.source_id), field.transform))
        .collect();
    let sort: Vec<String> =
        metadata.default_sort_order().fields.iter().map(|field| column(field.source_id)).collect();
    let words = about(table);
    let _ = write!(page, "\n### {}\n\n{}\n\n", table.full_name(), words.row);
    let mut fact = |name: &str, text: &str| {
        let _ = writeln!(page, "- **{name}:** {text}");
    };
    fact("written by", words.writer);
    fact("changes", words.changes);
    fact("partition", &listed(&partition));
    fact("sort", &listed(&sort));
    fact("key", table.key_column().map_or("none", |key| key));
    fact("retention", words.retention);
    page.push_str("\n| column | type | null | meaning |\n|---|---|---|---|\n");
    for field in schema.as_struct().fields() {
        let (index, Words { meaning, .. }) = words_of(table.full_name(), &field.name)
            .unwrap_or_else(|| panic!("column_words has nothing about {}.{}", table.full_name(), field.name));
        used.insert(index);
        let null = if field.required { "" } else { "null" };
        let _ = writeln!(
            page,
            "| `{}` | {} | {null} | {} |",
            field.name,
            cell(&type_text(&field.field_type)),
            cell(meaning)
        );
    }
}

/// `hour(event_timestamp)`.
fn transformed(column: &str, transform: Transform) -> String {
    match transform {
        Transform::Identity => column.to_owned(),
        Transform::Bucket(buckets) => format!("bucket({buckets}, {column})"),
        other => format!("{other}({column})"),
    }
}

fn listed(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

fn type_text(field_type: &Type) -> String {
    match field_type {
        Type::List(list) => format!("list of {}", type_text(&list.element_field.field_type)),
        other => other.to_string(),
    }
}
