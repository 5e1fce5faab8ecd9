//! Parquet settings of the engine's files: what each column is encoded as, and what is counted of it.
//!
//! Promises files that every reader in use understands, Iceberg's vectorized one in Spark included: data pages of
//! version 2 with the encodings PLAIN and dictionary, and DELTA_BINARY_PACKED for nearly sorted numbers. The reasons and
//! the measurements are in `docs/adr/0010-parquet-encodings.md`.

use arrow::datatypes::{DataType, Field, SchemaRef};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use pulselake_model::tables::LakeTable;

use crate::tables;
use crate::writer::WriterOptions;

/// Size at which a data page ends, bytes before compression. Pages of the default size (1 MiB) pass through buffers that
/// the allocator takes from the system anew each time, and that don't stay in a core's cache.
const PAGE_BYTES: usize = 128 << 10;

/// Rows between two looks at a page's size. A batch of the engine has no more; its bytes are bounded as well, so that no
/// page grows far beyond [`PAGE_BYTES`] plus one batch.
const ROWS_PER_PAGE_CHECK: usize = 4_096;

/// Parquet settings of the files of `table`, whose columns are `schema`'s.
pub(crate) fn writer_properties(
    table: LakeTable,
    schema: &SchemaRef,
    options: WriterOptions,
) -> WriterProperties {
    let level = ZstdLevel::try_new(options.zstd_level).unwrap_or_default();
    let mut properties = WriterProperties::builder()
        // Version 2 compresses the encoded values where they are; version 1 copies each page once more before.
        .set_writer_version(WriterVersion::PARQUET_2_0)
        // Where nothing else is said; version 2's own defaults are encodings that readers don't all know.
        .set_encoding(Encoding::PLAIN)
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(options.row_group_rows.max(1)))
        .set_data_page_size_limit(PAGE_BYTES)
        // Each column says for itself; what is inside lists needs none.
        .set_statistics_enabled(EnabledStatistics::None)
        .set_write_batch_size(ROWS_PER_PAGE_CHECK)
        .set_created_by(concat!("pulselake ", env!("CARGO_PKG_VERSION")).to_string());
    for field in schema.fields() {
        let column = || ColumnPath::from(field.name().as_str());
        properties = properties.set_column_statistics_enabled(column(), statistics(table, field));
        if let Some(encoding) = encoding_without_dictionary(table, field) {
            properties = properties
                .set_column_dictionary_enabled(column(), false)
                .set_column_encoding(column(), encoding);
        }
    }
    properties.build()
}

/// Whether Parquet counts nothing of the column, and Iceberg's bounds of it come from
/// [`crate::writer::text_bounds::TextBounds`].
///
/// A row group of bronze holds all videos, users and types: its own minima would prune nothing that the file's don't.
pub(crate) fn bounds_without_statistics(table: LakeTable, field: &Field) -> bool {
    table == LakeTable::RawEvents
        && *field.data_type() == DataType::Utf8
        && !tables::without_bounds(field.name())
}

fn statistics(table: LakeTable, field: &Field) -> EnabledStatistics {
    if tables::without_bounds(field.name()) || bounds_without_statistics(table, field) {
        return EnabledStatistics::None;
    }
    match is_nearly_sorted(table, field) {
        true => EnabledStatistics::Page,
        false => EnabledStatistics::Chunk,
    }
}

/// The encoding of a column that gets no dictionary.
fn encoding_without_dictionary(table: LakeTable, field: &Field) -> Option<Encoding> {
    if table == LakeTable::RawEvents && is_constant_per_batch(field.name()) {
        // Zstandard passes over a repetition faster than a dictionary looks one value up, and leaves nothing of it either.
        return Some(Encoding::PLAIN);
    }
    if is_nearly_sorted(table, field) {
        // Differences take a fraction of what a dictionary does, and cost less.
        return Some(Encoding::DELTA_BINARY_PACKED);
    }
    // Values that hardly repeat: a dictionary would be built, given up, and paid for.
    is_high_entropy(table, field.name()).then_some(Encoding::PLAIN)
}

fn is_nearly_sorted(table: LakeTable, field: &Field) -> bool {
    if table == LakeTable::EngagementFacts && field.name() == "upload_time" {
        // Of the event's video: a value of few that come again and again, in no order.
        return false;
    }
    matches!(field.data_type(), DataType::Timestamp(..)) || field.name() == "source_offset"
}

fn is_constant_per_batch(column: &str) -> bool {
    matches!(column, "schema_version" | "source_topic" | "source_partition" | "ingested_at")
}

fn is_high_entropy(table: LakeTable, column: &str) -> bool {
    // In an upserted table, a key comes once; in the history of a dimension, mostly once a file.
    let key = table.key_column().or(tables::dimension_of(table).map(|entity| entity.key_column()));
    if key == Some(column) {
        return true;
    }
    matches!(
        column,
        "event_id"
            | "user_id"
            | "payload_json"
            | "header_extra_json"
            | "invalid_event_id"
            | "raw_value"
            | "version_hash"
            | "session_id"
    )
}
