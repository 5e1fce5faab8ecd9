//! Rows deleted by position: position delete files of version 2, and deletion vectors of version 3.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use iceberg::io::FileIO;
use iceberg::spec::{DataFile, DataFileFormat};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use roaring::RoaringTreemap;

use crate::ReadError;
use crate::file_access::BytesRead;
use crate::scan::read_small_columns;

/// Field ids that the specification reserves for position delete files.
const FILE_PATH_ID: i32 = 2_147_483_546;
const POSITION_ID: i32 = 2_147_483_545;
/// First bytes of a deletion vector, after its length.
const VECTOR_MAGIC: [u8; 4] = [0xD1, 0xD3, 0x39, 0x64];

/// Deleted positions by data file.
pub(crate) type Positions = HashMap<String, RoaringTreemap>;

fn delete_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let field = |name: &str, data_type, id: i32| {
            let metadata = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_string(), id.to_string())]);
            Field::new(name, data_type, false).with_metadata(metadata)
        };
        Arc::new(Schema::new(vec![
            field("file_path", DataType::Utf8, FILE_PATH_ID),
            field("pos", DataType::Int64, POSITION_ID),
        ]))
    });
    SCHEMA.clone()
}

/// Reads one delete file; only what it says of the files in `wanted`.
pub(crate) async fn load_positions(
    file_io: &FileIO,
    file: &DataFile,
    wanted: &HashSet<String>,
    counter: &BytesRead,
) -> Result<Positions, ReadError> {
    let path = file.file_path();
    match file.file_format() {
        DataFileFormat::Puffin => load_vector(file_io, file, counter).await,
        DataFileFormat::Parquet => {
            let mut positions = Positions::new();
            let schema = delete_schema();
            read_small_columns(file_io, file, &schema, counter, |batch| {
                add(&mut positions, batch, wanted, path)
            })
            .await?;
            Ok(positions)
        }
        other => Err(ReadError::Unsupported {
            path: path.to_string(),
            what: format!("position deletes in {other}"),
        }),
    }
}

fn add(
    positions: &mut Positions,
    batch: &RecordBatch,
    wanted: &HashSet<String>,
    path: &str,
) -> Result<(), ReadError> {
    let targets = batch.column(0).as_string::<i32>();
    let rows = batch.column(1).as_primitive::<Int64Type>();
    let mut start = 0;
    while start < targets.len() {
        let target = targets.value(start);
        let same = (start..targets.len()).take_while(|row| targets.value(*row) == target).count();
        if wanted.contains(target) {
            if !positions.contains_key(target) {
                positions.insert(target.to_string(), RoaringTreemap::new());
            }
            if let Some(bitmap) = positions.get_mut(target) {
                for &position in &rows.values()[start..start + same] {
                    let position = u64::try_from(position).map_err(|_| ReadError::Damaged {
                        path: path.to_string(),
                        what: format!("it deletes row {position} of {target}"),
                    })?;
                    bitmap.insert(position);
                }
            }
        }
        start += same;
    }
    Ok(())
}

async fn load_vector(file_io: &FileIO, file: &DataFile, counter: &BytesRead) -> Result<Positions, ReadError> {
    let path = file.file_path();
    let damaged = |what: &str| ReadError::Damaged { path: path.to_string(), what: what.to_string() };
    let target =
        file.referenced_data_file().ok_or_else(|| damaged("a deletion vector without its data file"))?;
    let (Some(offset), Some(length)) = (file.content_offset(), file.content_size_in_bytes()) else {
        return Err(damaged("a deletion vector without its place in the file"));
    };
    let start = u64::try_from(offset).map_err(|_| damaged("a deletion vector at a negative offset"))?;
    let end = start + u64::try_from(length).map_err(|_| damaged("a deletion vector of negative length"))?;
    let input = file_io.new_input(path).map_err(ReadError::iceberg("open", path))?;
    let reader = input.reader().await.map_err(ReadError::iceberg("open", path))?;
    let blob = reader.read(start..end).await.map_err(ReadError::iceberg("read", path))?;
    counter.add(end - start);
    let bitmap = decode_vector(&blob).map_err(|what| damaged(&what))?;
    if bitmap.len() != file.record_count() {
        return Err(damaged(&format!(
            "{} deleted rows, its manifest says {}",
            bitmap.len(),
            file.record_count()
        )));
    }
    Ok(Positions::from([(target, bitmap)]))
}

/// A `deletion-vector-v1` blob: length (big endian), magic, a 64-bit Roaring bitmap in the portable format, CRC-32 (big
/// endian) of magic and bitmap.
fn decode_vector(blob: &[u8]) -> Result<RoaringTreemap, String> {
    let (length, rest) = blob.split_first_chunk::<4>().ok_or("a deletion vector of less than 4 bytes")?;
    let length = u32::from_be_bytes(*length) as usize;
    if length < VECTOR_MAGIC.len() || rest.len() != length + 4 {
        return Err(format!(
            "a deletion vector that says it has {length} bytes, in a blob of {}",
            blob.len()
        ));
    }
    let (body, checksum) = rest.split_at(length);
    if crc32fast::hash(body).to_be_bytes() != checksum {
        return Err("a deletion vector whose checksum is wrong".to_string());
    }
    let bitmap = body.strip_prefix(&VECTOR_MAGIC).ok_or("a deletion vector of an unknown format")?;
    RoaringTreemap::deserialize_from(bitmap)
        .map_err(|error| format!("a deletion vector that is no bitmap: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(positions: &[u64]) -> Vec<u8> {
        let mut body = VECTOR_MAGIC.to_vec();
        positions.iter().copied().collect::<RoaringTreemap>().serialize_into(&mut body).unwrap();
        let mut blob = (body.len() as u32).to_be_bytes().to_vec();
        blob.extend(&body);
        blob.extend(crc32fast::hash(&body).to_be_bytes());
        blob
    }

    #[test]
    fn a_deletion_vector_is_decoded() {
        let positions = [0, 5, 70_000, 1 << 40];
        let bitmap = decode_vector(&encoded(&positions)).unwrap();
        assert_eq!(bitmap.iter().collect::<Vec<_>>(), positions);
    }

    #[test]
    fn any_changed_byte_of_a_deletion_vector_is_noticed() {
        let whole = encoded(&[1, 2, 3]);
        for index in 0..whole.len() {
            let mut changed = whole.clone();
            changed[index] ^= 1;
            assert!(decode_vector(&changed).is_err(), "byte {index}");
        }
        assert!(decode_vector(&whole[..whole.len() - 1]).is_err());
    }
}
