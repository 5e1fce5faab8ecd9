//! Which columns of a table may hold the id, and whether a file can be ruled out without being read.

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::DataType;
use iceberg::TableIdent;
use iceberg::spec::{
    DataFile, Datum, Literal, PartitionSpec, PrimitiveType, Schema, TableMetadata, Transform, Type,
};
use iceberg::transform::create_transform_function;

use super::mention::MentionFinder;
use super::subject::Subject;

/// Which texts are searched beside the id columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TextSearch {
    /// Rejected records (`raw_value`): nobody else's event is lost.
    #[default]
    Quarantine,
    /// Event bodies and unknown header fields too. Every body is read, and **whole events of other users or videos go**
    /// that mention the id as a value.
    Everywhere,
}

const QUARANTINE_TEXTS: [&str; 1] = ["raw_value"];
const EVENT_TEXTS: [&str; 2] = ["payload_json", "header_extra_json"];
/// Events with the values of their bodies in columns.
const FACTS: (&str, &str) = ("silver", "fact_user_engagement");
/// Its texts that are not out of the body: ids, words of ours, and what the dimensions say.
const FACTS_BESIDE_THE_BODY: [&str; 12] = [
    "event_id",
    "video_id",
    "user_id",
    "event_type",
    "schema_version",
    "session_id",
    "category",
    "region",
    "creator_id",
    "video_status",
    "user_segment",
    "user_country",
];
/// What is known of the bodies' fields: a row stays, its sample of a value goes.
const PAYLOAD_FIELDS: (&str, &str) = ("silver", "payload_fields");
const SAMPLE: &str = "sample";

/// How a column is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SearchedAs {
    /// It is the id.
    Id,
    /// It mentions the id as a JSON value.
    Json,
    /// It is the id, or JSON that mentions it: one value of a body.
    Value,
}

/// A column that is searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub field_id: i32,
    pub searched_as: SearchedAs,
}

impl Column {
    fn is_id(&self) -> bool {
        self.searched_as == SearchedAs::Id
    }
}

/// What is searched in a table, and for what.
pub(super) struct Target {
    id: String,
    bound: Datum,
    finder: MentionFinder,
    pub columns: Vec<Column>,
    /// The column that becomes NULL in rows with the id, which stay; `None` where such rows go.
    pub blanked: Option<i32>,
}

impl Target {
    /// What concerns `subject` in the table; `None` where it has no such column.
    pub(super) fn of(
        table: &TableIdent,
        metadata: &TableMetadata,
        subject: &Subject,
        texts: TextSearch,
    ) -> Option<Self> {
        let mut columns: Vec<Column> = Vec::new();
        // A column that was dropped since is still in old files; they are written anew without it.
        for schema in std::iter::once(metadata.current_schema()).chain(metadata.schemas_iter()) {
            for column in columns_of(table, schema, subject, texts) {
                if columns.iter().all(|known| known.field_id != column.field_id) {
                    columns.push(column);
                }
            }
        }
        (!columns.is_empty()).then(|| Self {
            id: subject.id().to_string(),
            bound: Datum::string(subject.id()),
            finder: MentionFinder::new(subject.id()),
            blanked: is_table(table, PAYLOAD_FIELDS)
                .then(|| metadata.current_schema().field_id_by_name(SAMPLE))
                .flatten(),
            columns,
        })
    }

    /// Whether the file can hold the id, by its partition and its bounds alone.
    pub(super) fn may_be_in(&self, file: &DataFile, spec: Option<&PartitionSpec>) -> bool {
        self.columns.iter().any(|column| {
            !column.is_id() || (self.fits_bounds(file, column) && self.fits_partition(file, spec, column))
        })
    }

    fn fits_bounds(&self, file: &DataFile, column: &Column) -> bool {
        let below = file.lower_bounds().get(&column.field_id).is_some_and(|lower| self.bound < *lower);
        let above = file.upper_bounds().get(&column.field_id).is_some_and(|upper| self.bound > *upper);
        !below && !above
    }

    fn fits_partition(&self, file: &DataFile, spec: Option<&PartitionSpec>, column: &Column) -> bool {
        let Some(spec) = spec else { return true };
        let values = file.partition().fields();
        spec.fields().iter().zip(values).all(|(field, value)| {
            let tells = field.source_id == column.field_id
                && matches!(
                    field.transform,
                    Transform::Bucket(_) | Transform::Identity | Transform::Truncate(_)
                );
            if !tells {
                return true;
            }
            let expected = create_transform_function(&field.transform)
                .and_then(|function| function.transform_literal(&self.bound));
            match (expected, value) {
                (Ok(Some(wanted)), Some(Literal::Primitive(found))) => wanted.literal() == found,
                // NULL is not the id.
                (Ok(Some(_)), None) => false,
                _ => true,
            }
        })
    }

    /// Whether a bound names the id itself.
    pub(super) fn is_bound_of(&self, file: &DataFile) -> bool {
        self.columns.iter().filter(|column| column.is_id()).any(|column| {
            let bounds = [file.lower_bounds(), file.upper_bounds()];
            bounds.iter().any(|by_column| by_column.get(&column.field_id) == Some(&self.bound))
        })
    }

    /// Whether a delete file with these key columns may hold the id.
    pub(super) fn is_key_of(&self, file: &DataFile) -> bool {
        let keys = file.equality_ids().unwrap_or_default();
        self.columns.iter().any(|column| column.is_id() && keys.contains(&column.field_id))
    }

    /// Which rows hold the id. `places`: for each searched column, its place in the batch; `None` where the file lacks
    /// it.
    pub(super) fn matches(&self, batch: &RecordBatch, places: &[Option<usize>]) -> BooleanArray {
        let mut found = vec![false; batch.num_rows()];
        for (column, place) in self.columns.iter().zip(places) {
            let Some(place) = place else { continue };
            let array = batch.column(*place).as_ref();
            for (row, is_found) in found.iter_mut().enumerate() {
                let is_id = |bytes: &[u8]| bytes == self.id.as_bytes();
                let is_here = bytes_at(array, row).is_some_and(|bytes| match column.searched_as {
                    SearchedAs::Id => is_id(bytes),
                    SearchedAs::Json => self.finder.is_in(bytes),
                    SearchedAs::Value => is_id(bytes) || self.finder.is_in(bytes),
                });
                *is_found |= is_here;
            }
        }
        BooleanArray::from(found)
    }
}

fn is_table(table: &TableIdent, (namespace, name): (&str, &str)) -> bool {
    table.name() == name && table.namespace().to_url_string() == namespace
}

fn columns_of(table: &TableIdent, schema: &Schema, subject: &Subject, texts: TextSearch) -> Vec<Column> {
    let is_everywhere = texts == TextSearch::Everywhere;
    let (is_facts, is_fields) = (is_table(table, FACTS), is_table(table, PAYLOAD_FIELDS));
    let mut columns = Vec::new();
    for field in schema.as_struct().fields() {
        let name = field.name.as_str();
        let searched_as = match field.field_type.as_ref() {
            Type::Primitive(PrimitiveType::String) if name == subject.column() => SearchedAs::Id,
            Type::Primitive(PrimitiveType::String | PrimitiveType::Binary)
                if QUARANTINE_TEXTS.contains(&name) || is_everywhere && EVENT_TEXTS.contains(&name) =>
            {
                SearchedAs::Json
            }
            Type::Primitive(PrimitiveType::String)
                if is_everywhere
                    && (is_facts && !FACTS_BESIDE_THE_BODY.contains(&name)
                        || is_fields && name == SAMPLE) =>
            {
                SearchedAs::Value
            }
            _ => continue,
        };
        columns.push(Column { field_id: field.id, searched_as });
    }
    columns
}

fn bytes_at(array: &dyn Array, row: usize) -> Option<&[u8]> {
    if array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::Utf8 => Some(array.as_string::<i32>().value(row).as_bytes()),
        DataType::LargeUtf8 => Some(array.as_string::<i64>().value(row).as_bytes()),
        DataType::Utf8View => Some(array.as_string_view().value(row).as_bytes()),
        DataType::Binary => Some(array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => Some(array.as_binary::<i64>().value(row)),
        DataType::BinaryView => Some(array.as_binary_view().value(row)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, NestedField, Struct};

    use super::*;

    fn schema() -> Schema {
        let field =
            |id, name: &str, primitive| NestedField::optional(id, name, Type::Primitive(primitive)).into();
        Schema::builder()
            .with_fields([
                field(1, "user_id", PrimitiveType::String),
                field(2, "payload_json", PrimitiveType::String),
                field(3, "raw_value", PrimitiveType::Binary),
            ])
            .build()
            .unwrap()
    }

    fn table(namespace: &str, name: &str) -> TableIdent {
        TableIdent::from_strs([namespace, name]).unwrap()
    }

    fn target(texts: TextSearch) -> Target {
        let subject = Subject::User("m".to_string());
        Target {
            id: "m".to_string(),
            bound: Datum::string("m"),
            finder: MentionFinder::new("m"),
            columns: columns_of(&table("bronze", "raw_events"), &schema(), &subject, texts)
                .into_iter()
                .filter(|column| column.field_id != 3)
                .collect(),
            blanked: None,
        }
    }

    fn file(lower: Option<&str>, upper: Option<&str>, partition: Struct) -> DataFile {
        let bound = |text: Option<&str>| -> HashMap<i32, Datum> {
            text.into_iter().map(|value| (1, Datum::string(value))).collect()
        };
        DataFileBuilder::default()
            .content(DataContentType::Data)
            .file_path("/t/a.parquet".to_string())
            .file_format(DataFileFormat::Parquet)
            .partition(partition)
            .partition_spec_id(0)
            .record_count(1)
            .file_size_in_bytes(1)
            .lower_bounds(bound(lower))
            .upper_bounds(bound(upper))
            .build()
            .unwrap()
    }

    #[test]
    fn columns_by_subject_and_search() {
        let bronze = table("bronze", "raw_events");
        let ids = |subject: &Subject, texts| -> Vec<i32> {
            columns_of(&bronze, &schema(), subject, texts).iter().map(|column| column.field_id).collect()
        };
        let (user, video) = (Subject::User("m".to_string()), Subject::Video("m".to_string()));
        assert_eq!(ids(&user, TextSearch::Quarantine), [1, 3]);
        assert_eq!(ids(&user, TextSearch::Everywhere), [1, 2, 3]);
        assert_eq!(ids(&video, TextSearch::Quarantine), [3]);
    }

    #[test]
    fn in_silver_the_values_of_bodies_are_searched_and_what_is_beside_them_is_not() {
        let names = ["user_id", "creator_id", "device_os", "header_extra_json", "friend", "sample"];
        let fields = names.iter().zip(1..).map(|(name, id)| {
            NestedField::optional(id, *name, Type::Primitive(PrimitiveType::String)).into()
        });
        let schema = Schema::builder().with_fields(fields).build().unwrap();
        let user = Subject::User("m".to_string());
        let found = |name: &str, texts| -> Vec<(&str, SearchedAs)> {
            let columns = columns_of(&table("silver", name), &schema, &user, texts);
            columns.iter().map(|column| (names[column.field_id as usize - 1], column.searched_as)).collect()
        };
        use SearchedAs::{Id, Json, Value};
        assert_eq!(found("fact_user_engagement", TextSearch::Quarantine), [("user_id", Id)]);
        assert_eq!(
            found("fact_user_engagement", TextSearch::Everywhere),
            [
                ("user_id", Id),
                ("device_os", Value),
                ("header_extra_json", Json),
                ("friend", Value),
                ("sample", Value)
            ]
        );
        assert_eq!(
            found("payload_fields", TextSearch::Everywhere),
            [("user_id", Id), ("header_extra_json", Json), ("sample", Value)]
        );
    }

    #[test]
    fn bounds_rule_files_out_and_texts_never() {
        let by_id = target(TextSearch::Quarantine);
        for (lower, upper, expected) in [
            (None, None, true),
            (Some("a"), Some("z"), true),
            (Some("m"), Some("m"), true),
            (Some("n"), Some("z"), false),
            (Some("a"), Some("l"), false),
            (None, Some("l"), false),
        ] {
            let file = file(lower, upper, Struct::empty());
            assert_eq!(by_id.may_be_in(&file, None), expected, "{lower:?} {upper:?}");
            assert!(target(TextSearch::Everywhere).may_be_in(&file, None));
        }
    }

    #[test]
    fn a_bucket_rules_out_all_files_of_others() {
        let spec = PartitionSpec::builder(schema())
            .add_partition_field("user_id", "user_id_bucket", Transform::Bucket(16))
            .unwrap()
            .build()
            .unwrap();
        let may_be_in = |bucket: i32| {
            let partition = Struct::from_iter([Some(Literal::int(bucket))]);
            target(TextSearch::Quarantine).may_be_in(&file(None, None, partition), Some(&spec))
        };
        assert_eq!((0..16).filter(|bucket| may_be_in(*bucket)).count(), 1);
    }
}
