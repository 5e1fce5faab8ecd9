//! Types as SQL names them.

use datafusion::arrow::datatypes::{DataType, TimeUnit};

/// The SQL name of a type, as Trino writes it; Arrow's own where SQL has none.
pub fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 => "tinyint".to_owned(),
        DataType::Int16 => "smallint".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "varchar".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "varbinary".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Timestamp(unit, zone) => {
            let digits = match unit {
                TimeUnit::Second => 0,
                TimeUnit::Millisecond => 3,
                TimeUnit::Microsecond => 6,
                TimeUnit::Nanosecond => 9,
            };
            match zone {
                Some(_) => format!("timestamp({digits}) with time zone"),
                None => format!("timestamp({digits})"),
            }
        }
        DataType::List(element) | DataType::LargeList(element) => {
            format!("array({})", sql_type(element.data_type()))
        }
        DataType::Struct(fields) => {
            let members: Vec<String> = fields
                .iter()
                .map(|field| format!("{} {}", field.name(), sql_type(field.data_type())))
                .collect();
            format!("row({})", members.join(", "))
        }
        DataType::Null => "unknown".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::datatypes::Field;

    use super::*;

    #[test]
    fn types_are_named_as_trino_names_them() {
        let moment = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        assert_eq!(sql_type(&moment), "timestamp(6) with time zone");
        let list = DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)));
        assert_eq!(sql_type(&list), "array(varchar)");
        assert_eq!(sql_type(&DataType::UInt64), "UInt64");
    }
}
