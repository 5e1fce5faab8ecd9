//! The deletes of a set of data files: each delete file is loaded once, when the first data file needs it.
//!
//! The equality deletes of one partition (or of the whole table) and one set of key columns become one map from key to
//! the highest sequence number that deletes it. A row is deleted where that number is above its file's own: one look-up
//! a row, however many delete files there are. NULL equals NULL; a key column that a data file lacks has its initial
//! default, or NULL. Position deletes are bitmaps by data file.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::datatypes::{Field, Schema as ArrowSchema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use iceberg::io::FileIO;
use iceberg::spec::{DataContentType, DataFileFormat, Struct, TableMetadata};
use iceberg::table::Table;
use roaring::RoaringTreemap;
use tokio::sync::OnceCell;

use crate::ReadError;
use crate::adapt::{DefaultColumn, adapt_batch, field_id};
use crate::file_access::BytesRead;
use crate::plan::{LiveEntry, PlannedFile};
use crate::positions::{Positions, load_positions};
use crate::scan::read_small_columns;

/// What a key costs in a map beside its bytes: pointer, length, sequence number, the map's own.
const KEY_OVERHEAD_BYTES: usize = 64;

/// The partition that equality deletes are of (`None`: the whole table), and the ids of their key columns.
type GroupKey = (Option<(i32, Struct)>, Vec<i32>);

/// The deletes that apply to some data files; clones share what is loaded.
#[derive(Clone, Debug)]
pub struct Deletes {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    file_io: FileIO,
    equality: HashMap<GroupKey, EqualityGroup>,
    positions: HashMap<String, OnceCell<Arc<Positions>>>,
    targets: HashSet<String>,
    counter: BytesRead,
    memory_bytes: AtomicUsize,
}

#[derive(Debug)]
struct EqualityGroup {
    files: HashMap<String, Arc<LiveEntry>>,
    key_schema: SchemaRef,
    keys: OnceCell<Arc<DeletedKeys>>,
}

#[derive(Debug)]
struct DeletedKeys {
    schema: SchemaRef,
    converter: RowConverter,
    highest_sequence: HashMap<Box<[u8]>, i64>,
}

impl Deletes {
    /// The deletes of `files`. Loads nothing yet; counts what it reads later in `counter`.
    pub fn new(table: &Table, files: &[PlannedFile], counter: BytesRead) -> Result<Self, ReadError> {
        let mut equality: HashMap<GroupKey, EqualityGroup> = HashMap::new();
        let (mut positions, mut targets) = (HashMap::new(), HashSet::new());
        for file in files.iter().filter(|file| !file.deletes.is_empty()) {
            targets.insert(file.data.file().file_path().to_string());
            for delete in &file.deletes {
                let path = delete.file().file_path().to_string();
                if delete.file().content_type() == DataContentType::PositionDeletes {
                    positions.entry(place_of(delete)).or_insert_with(OnceCell::new);
                    continue;
                }
                let group = match equality.entry(group_key(delete)) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(vacant) => {
                        let key_schema = key_schema(table.metadata(), &path, &vacant.key().1)?;
                        vacant.insert(EqualityGroup {
                            files: HashMap::new(),
                            key_schema,
                            keys: OnceCell::new(),
                        })
                    }
                };
                group.files.insert(path, delete.clone());
            }
        }
        let file_io = table.file_io().clone();
        let memory_bytes = AtomicUsize::new(0);
        let shared = Shared { file_io, equality, positions, targets, counter, memory_bytes };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What the deletes loaded so far hold in memory, bytes (estimated from above).
    pub fn memory_bytes(&self) -> usize {
        self.shared.memory_bytes.load(Ordering::Relaxed)
    }

    /// The deletes of one of the files, loaded.
    pub(crate) async fn of_file(&self, file: &PlannedFile) -> Result<FileDeletes, ReadError> {
        let shared = &self.shared;
        let mut result = FileDeletes {
            sequence_number: file.data.sequence_number,
            keys: Vec::new(),
            positions: RoaringTreemap::new(),
        };
        let mut groups_seen: HashSet<GroupKey> = HashSet::new();
        for delete in &file.deletes {
            let unknown = || ReadError::Damaged {
                path: delete.file().file_path().to_string(),
                what: "its data file was not in the plan that the deletes were made of".to_string(),
            };
            if delete.file().content_type() == DataContentType::PositionDeletes {
                let cell = shared.positions.get(&place_of(delete)).ok_or_else(unknown)?;
                let loaded = cell.get_or_try_init(|| shared.load_positions(delete)).await?;
                if let Some(bitmap) = loaded.get(file.data.file().file_path()) {
                    result.positions |= bitmap;
                }
                continue;
            }
            let key = group_key(delete);
            if groups_seen.contains(&key) {
                continue;
            }
            let group = shared.equality.get(&key).ok_or_else(unknown)?;
            result.keys.push(group.keys.get_or_try_init(|| shared.load_keys(group)).await?.clone());
            groups_seen.insert(key);
        }
        Ok(result)
    }
}

impl Shared {
    async fn load_positions(&self, delete: &LiveEntry) -> Result<Arc<Positions>, ReadError> {
        let loaded = load_positions(&self.file_io, delete.file(), &self.targets, &self.counter).await?;
        let bytes: usize = loaded.iter().map(|(path, bitmap)| path.len() + bitmap.serialized_size()).sum();
        self.memory_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(Arc::new(loaded))
    }

    async fn load_keys(&self, group: &EqualityGroup) -> Result<Arc<DeletedKeys>, ReadError> {
        let fields = group.key_schema.fields();
        let sort_fields = fields.iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let first = group.files.keys().next().map(String::as_str).unwrap_or_default();
        let converter = RowConverter::new(sort_fields).map_err(ReadError::arrow(first))?;
        let mut highest_sequence: HashMap<Box<[u8]>, i64> = HashMap::new();
        let mut bytes = 0;
        for (path, delete) in &group.files {
            if delete.file().file_format() != DataFileFormat::Parquet {
                let what = format!("equality deletes in {}", delete.file().file_format());
                return Err(ReadError::Unsupported { path: path.clone(), what });
            }
            let sequence = delete.sequence_number;
            let add = |batch: &RecordBatch| {
                let rows = converter.convert_columns(batch.columns()).map_err(ReadError::arrow(path))?;
                for row in &rows {
                    match highest_sequence.get_mut(row.as_ref()) {
                        Some(known) => *known = sequence.max(*known),
                        None => {
                            bytes += row.as_ref().len() + KEY_OVERHEAD_BYTES;
                            highest_sequence.insert(row.as_ref().into(), sequence);
                        }
                    }
                }
                Ok(())
            };
            read_small_columns(&self.file_io, delete.file(), &group.key_schema, &self.counter, add).await?;
        }
        self.memory_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(Arc::new(DeletedKeys { schema: group.key_schema.clone(), converter, highest_sequence }))
    }
}

/// What identifies the content of a position delete file; one Puffin file holds many deletion vectors.
fn place_of(delete: &LiveEntry) -> String {
    let file = delete.file();
    match file.content_offset() {
        Some(offset) => format!("{}#{offset}", file.file_path()),
        None => file.file_path().to_string(),
    }
}

fn group_key(delete: &LiveEntry) -> GroupKey {
    let file = delete.file();
    let mut ids = file.equality_ids().unwrap_or_default();
    ids.sort_unstable();
    let is_global = file.partition().fields().is_empty();
    ((!is_global).then(|| (delete.spec_id, file.partition().clone())), ids)
}

/// The key columns in the table's current types; all nullable, since a data file may lack them. A column that was
/// dropped since still counts, with the type it had last.
fn key_schema(metadata: &TableMetadata, path: &str, ids: &[i32]) -> Result<SchemaRef, ReadError> {
    if ids.is_empty() {
        let what = "an equality delete file without key columns".to_string();
        return Err(ReadError::Damaged { path: path.to_string(), what });
    }
    let mut schemas: Vec<_> = metadata.schemas_iter().collect();
    let current = metadata.current_schema_id();
    schemas.sort_by_key(|schema| (schema.schema_id() != current, std::cmp::Reverse(schema.schema_id())));
    let mut fields: Vec<Field> = Vec::new();
    for &id in ids {
        let top_level = schemas.iter().find_map(|schema| schema.as_struct().field_by_id(id));
        let Some(column) = top_level else {
            let what = format!("equality deletes on column {id}, which is nested or unknown");
            return Err(ReadError::Unsupported { path: path.to_string(), what });
        };
        let data_type = iceberg::arrow::type_to_arrow_type(&column.field_type)
            .map_err(ReadError::iceberg("read the key columns of", path))?;
        let metadata =
            HashMap::from([(parquet::arrow::PARQUET_FIELD_ID_META_KEY.to_string(), id.to_string())]);
        fields.push(Field::new(column.name.clone(), data_type, true).with_metadata(metadata));
    }
    Ok(Arc::new(ArrowSchema::new(fields)))
}

/// The deletes of one data file.
#[derive(Debug)]
pub(crate) struct FileDeletes {
    sequence_number: i64,
    keys: Vec<Arc<DeletedKeys>>,
    positions: RoaringTreemap,
}

impl FileDeletes {
    /// Ids of the columns that have to be read besides those that are wanted.
    pub(crate) fn key_ids(&self) -> impl Iterator<Item = i32> + '_ {
        self.keys.iter().flat_map(|keys| keys.schema.fields().iter().filter_map(|field| field_id(field)))
    }

    /// Which rows of `batch` stay; `None` where all do. `batch`: as it was read from the file at `path`.
    /// `positions`: of its rows in the file, as ranges in their order.
    pub(crate) fn kept(
        &self,
        batch: &RecordBatch,
        positions: &[Range<u64>],
        defaults: &HashMap<i32, DefaultColumn>,
        path: &str,
    ) -> Result<Option<BooleanArray>, ReadError> {
        let mut kept = vec![true; batch.num_rows()];
        let mut first_row = 0;
        for range in positions {
            let mut deleted = self.positions.iter();
            deleted.advance_to(range.start);
            for position in deleted.take_while(|position| *position < range.end) {
                kept[first_row + (position - range.start) as usize] = false;
            }
            first_row += (range.end - range.start) as usize;
        }
        for keys in &self.keys {
            let columns = adapt_batch(batch, &keys.schema, defaults).map_err(ReadError::arrow(path))?;
            let encoded =
                keys.converter.convert_columns(columns.columns()).map_err(ReadError::arrow(path))?;
            for (stays, row) in kept.iter_mut().zip(&encoded) {
                let deleted_at = keys.highest_sequence.get(row.as_ref());
                *stays &= deleted_at.is_none_or(|sequence| *sequence <= self.sequence_number);
            }
        }
        Ok(kept.contains(&false).then(|| BooleanArray::from(kept)))
    }
}
