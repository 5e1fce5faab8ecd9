//! Column bounds of a data file, from Parquet's own statistics.
//!
//! Built here because the iceberg crate skips the row groups whose minimum or maximum was cut, and would then give
//! bounds that don't hold for them: a reader would prune rows that match. A cut minimum is still below, and a cut and
//! incremented maximum still above all values, so both serve.

use std::cmp::Ordering;

use arrow::datatypes::DataType;
use iceberg::spec::Datum;
use parquet::file::metadata::ParquetMetaData;

/// Lower and upper bound of one column over all row groups; `None` where a row group has no statistics.
pub(crate) fn column_bounds(
    metadata: &ParquetMetaData,
    column: usize,
    data_type: &DataType,
) -> Option<(Datum, Datum)> {
    let mut bounds: Option<(Datum, Datum)> = None;
    for row_group in metadata.row_groups() {
        let chunk = row_group.columns().get(column)?;
        let statistics = chunk.statistics()?;
        if statistics.null_count_opt() == Some(chunk.num_values() as u64) {
            continue;
        }
        let lower = datum(data_type, statistics.min_bytes_opt()?)?;
        let upper = datum(data_type, statistics.max_bytes_opt()?)?;
        bounds = Some(match bounds {
            None => (lower, upper),
            Some((lowest, highest)) => (
                if lower.partial_cmp(&lowest)? == Ordering::Less { lower } else { lowest },
                if upper.partial_cmp(&highest)? == Ordering::Greater { upper } else { highest },
            ),
        });
    }
    bounds
}

/// One value of Parquet statistics: integers are little endian.
fn datum(data_type: &DataType, bytes: &[u8]) -> Option<Datum> {
    Some(match data_type {
        DataType::Utf8 => Datum::string(std::str::from_utf8(bytes).ok()?),
        DataType::Int32 => Datum::int(i32::from_le_bytes(bytes.try_into().ok()?)),
        DataType::Boolean => Datum::bool(*bytes.first()? != 0),
        DataType::Date32 => Datum::date(i32::from_le_bytes(bytes.try_into().ok()?)),
        DataType::Float32 => Datum::float(f32::from_le_bytes(bytes.try_into().ok()?)),
        DataType::Float64 => Datum::double(f64::from_le_bytes(bytes.try_into().ok()?)),
        DataType::Int64 => Datum::long(i64::from_le_bytes(bytes.try_into().ok()?)),
        DataType::Timestamp(_, Some(_)) => {
            Datum::timestamptz_micros(i64::from_le_bytes(bytes.try_into().ok()?))
        }
        // Bytes of a decimal are in another order than Iceberg's.
        _ => return None,
    })
}
