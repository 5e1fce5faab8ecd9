//! `event_payload(payload_json)`: an event's body, read once, as a structure with a field for each column of silver that
//! comes from it: those that silver always has, and the columns of new payload fields.

use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanBuilder, Float64Builder, Int64Builder, StringArray, StringBuilder, StructArray,
};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use hashbrown::HashMap;
use pulselake_decode::walk_body;

use crate::batch::drift::KnownField;
use crate::batch::drift::value::{as_boolean, as_double, as_long, as_text};
use crate::batch::payload_column::{PayloadColumn, PayloadType};

/// See the module.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct EventPayload {
    columns: Vec<PayloadColumn>,
    fields: Fields,
    signature: Signature,
}

impl EventPayload {
    /// The function for these columns.
    pub fn new(columns: Vec<PayloadColumn>) -> Self {
        let fields = readers(&columns).iter().flat_map(Reader::fields).collect();
        Self { columns, fields, signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for EventPayload {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &'static str {
        "event_payload"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(self.fields.clone()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let [bodies] = <[ColumnarValue; 1]>::try_from(args.args)
            .map_err(|_| DataFusionError::Internal("event_payload takes one argument".to_owned()))?;
        let bodies = bodies.into_array(rows)?;
        let columns = read(bodies.as_string::<i32>(), readers(&self.columns));
        let read = StructArray::try_new(self.fields.clone(), columns, None)?;
        Ok(ColumnarValue::Array(Arc::new(read)))
    }
}

/// Reads every body; the arrays are the fields of all `readers`, in their order.
fn read(bodies: &StringArray, mut readers: Vec<Reader>) -> Vec<ArrayRef> {
    let keys: Vec<String> = readers.iter().map(|reader| reader.key.clone()).collect();
    let places: HashMap<&str, usize> =
        keys.iter().enumerate().map(|(place, key)| (key.as_str(), place)).collect();
    let mut found: Vec<Option<&str>> = vec![None; readers.len()];
    for body in bodies {
        found.fill(None);
        let is_body = body.is_some_and(|text| {
            walk_body(text, |key: Cow<'_, str>, raw| {
                if let Some(&place) = places.get(key.as_ref()) {
                    found[place] = Some(raw);
                }
            })
        });
        for (reader, raw) in readers.iter_mut().zip(&found) {
            reader.append(raw.filter(|_| is_body));
        }
    }
    readers.into_iter().flat_map(Reader::finish).collect()
}

fn readers(columns: &[PayloadColumn]) -> Vec<Reader> {
    let conflict_column = |field: KnownField| {
        let named = columns.iter().find(|column| column.is_known && column.field == field.name());
        named.and_then(|column| column.conflict_column.clone())
    };
    let known = KnownField::ALL.into_iter().map(|field| Reader::of_known(field, conflict_column(field)));
    known.chain(columns.iter().filter(|column| !column.is_known).map(Reader::of_column)).collect()
}

/// Makes one column out of the values of one key, and the column beside it where there is one.
struct Reader {
    key: String,
    name: String,
    known: Option<KnownField>,
    values: Values,
    misfits: Option<(String, StringBuilder)>,
}

enum Values {
    Long(Int64Builder),
    Double(Float64Builder),
    Boolean(BooleanBuilder),
    Text(StringBuilder),
}

impl Values {
    fn of(column_type: PayloadType) -> Self {
        match column_type {
            PayloadType::Long => Self::Long(Int64Builder::new()),
            PayloadType::Double => Self::Double(Float64Builder::new()),
            PayloadType::Boolean => Self::Boolean(BooleanBuilder::new()),
            PayloadType::String => Self::Text(StringBuilder::new()),
        }
    }

    fn data_type(&self) -> DataType {
        match self {
            Self::Long(_) => DataType::Int64,
            Self::Double(_) => DataType::Float64,
            Self::Boolean(_) => DataType::Boolean,
            Self::Text(_) => DataType::Utf8,
        }
    }

    /// Appends what the column takes of `raw`; whether it took it.
    fn append(&mut self, raw: Option<&str>) -> bool {
        fn put<T>(value: Option<T>, append: impl FnOnce(Option<T>)) -> bool {
            let is_taken = value.is_some();
            append(value);
            is_taken
        }
        match self {
            Self::Long(builder) => put(raw.and_then(as_long), |value| builder.append_option(value)),
            Self::Double(builder) => put(raw.and_then(as_double), |value| builder.append_option(value)),
            Self::Boolean(builder) => put(raw.and_then(as_boolean), |value| builder.append_option(value)),
            Self::Text(builder) => put(raw.and_then(as_text), |value| builder.append_option(value)),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Long(mut builder) => Arc::new(builder.finish()),
            Self::Double(mut builder) => Arc::new(builder.finish()),
            Self::Boolean(mut builder) => Arc::new(builder.finish()),
            Self::Text(mut builder) => Arc::new(builder.finish()),
        }
    }
}

impl Reader {
    fn of_known(field: KnownField, conflict_column: Option<String>) -> Self {
        Self {
            key: field.name().to_owned(),
            name: field.name().to_owned(),
            known: Some(field),
            values: Values::of(field.column_type()),
            misfits: conflict_column.map(|name| (name, StringBuilder::new())),
        }
    }

    fn of_column(column: &PayloadColumn) -> Self {
        Self {
            key: column.field.clone(),
            name: column.column_name.clone(),
            known: None,
            values: Values::of(column.column_type),
            misfits: column.conflict_column.clone().map(|name| (name, StringBuilder::new())),
        }
    }

    fn fields(&self) -> Vec<Field> {
        let own = Field::new(&self.name, self.values.data_type(), true);
        let beside = self.misfits.as_ref().map(|(name, _)| Field::new(name, DataType::Utf8, true));
        std::iter::once(own).chain(beside).collect()
    }

    fn append(&mut self, raw: Option<&str>) {
        let fitting = raw.filter(|text| self.known.is_none_or(|field| field.takes(text)));
        let is_taken = self.values.append(fitting);
        if let Some((_, misfits)) = &mut self.misfits {
            misfits.append_option(raw.filter(|_| !is_taken).and_then(as_text));
        }
    }

    fn finish(self) -> Vec<ArrayRef> {
        let misfits = self.misfits.map(|(_, mut builder)| Arc::new(builder.finish()) as ArrayRef);
        std::iter::once(self.values.finish()).chain(misfits).collect()
    }
}

#[cfg(test)]
mod tests {
    use arrow::util::display::{ArrayFormatter, FormatOptions};
    use proptest::prelude::*;
    use pulselake_decode::{MAX_WATCH_TIME_MS, watch_time_ms};

    use super::*;

    fn column(field: &str, column_type: PayloadType, conflict_column: Option<&str>) -> PayloadColumn {
        PayloadColumn {
            field: field.to_owned(),
            column_name: field.to_lowercase(),
            column_type,
            conflict_column: conflict_column.map(ToOwned::to_owned),
            is_known: KnownField::of_name(field).is_some(),
        }
    }

    fn values(bodies: &[&str], columns: &[PayloadColumn]) -> Vec<Vec<String>> {
        let read = read(&StringArray::from(bodies.to_vec()), readers(columns));
        let options = FormatOptions::default().with_null("-");
        let formatters: Vec<_> =
            read.iter().map(|array| ArrayFormatter::try_new(array, &options).unwrap()).collect();
        (0..bodies.len())
            .map(|row| formatters.iter().map(|of_column| of_column.value(row).to_string()).collect())
            .collect()
    }

    #[test]
    fn the_usual_columns_follow_the_contract() {
        for (body, expected) in [
            (
                r#"{"watch_time_ms":5400,"video_duration_ms":60000,"device_os":"iOS","app_version":"14.2.0","network_type":"5G","referral_source":"foryou_page"}"#,
                ["5400", "60000", "iOS", "14.2.0", "5G", "foryou_page"],
            ),
            (
                r#"{"watch_time_ms":5400.0,"video_duration_ms":6e4,"device_os":7.50,"app_version":true,"network_type":null,"referral_source":{"a":1}}"#,
                ["5400", "60000", "7.50", "true", "-", "-"],
            ),
            (
                r#"{"watch_time_ms":"5400","video_duration_ms":0,"device_os":["iOS"],"app_version":"a\"b\u00e4"}"#,
                ["-", "-", "-", "a\"bä", "-", "-"],
            ),
            (r#"{"watch_time_ms":604800001,"video_duration_ms":-1}"#, ["-"; 6]),
            (r#"{"watch_time_ms":-0.5,"video_duration_ms":1.5}"#, ["-"; 6]),
            (
                r#"{"watch_time_ms":1,"watch_time_ms":2,"device_os":"a","device_os":null}"#,
                ["2", "-", "-", "-", "-", "-"],
            ),
            (r#"{"x":{"watch_time_ms":1},"watch\u005ftime_ms":3}"#, ["3", "-", "-", "-", "-", "-"]),
            (r#"{"watch_time_ms":5,"device_os":"a""#, ["-"; 6]),
            (r#"[{"watch_time_ms":5}]"#, ["-"; 6]),
            ("no json", ["-"; 6]),
            ("", ["-"; 6]),
        ] {
            assert_eq!(values(&[body], &[])[0], expected, "{body}");
        }
    }

    #[test]
    fn what_does_not_fit_goes_beside() {
        let columns = [
            column("watch_time_ms", PayloadType::Long, Some("watch_time_ms_text")),
            column("n", PayloadType::Long, Some("n_text")),
            column("rate", PayloadType::Double, None),
            column("Flag", PayloadType::Boolean, Some("flag_text")),
            column("extra", PayloadType::String, None),
        ];
        let bodies = [
            r#"{"watch_time_ms":-1,"n":1.5,"rate":1,"Flag":true,"extra":{"a" : [1]}}"#,
            r#"{"watch_time_ms":7,"n":3,"rate":"x","Flag":"yes","extra":"e"}"#,
            r#"{"n":null,"flag":false}"#,
        ];
        let found = values(&bodies, &columns);
        assert_eq!(
            found[0],
            ["-", "-1", "-", "-", "-", "-", "-", "-", "1.5", "1.0", "true", "-", r#"{"a" : [1]}"#]
        );
        assert_eq!(found[1], ["7", "-", "-", "-", "-", "-", "-", "3", "-", "-", "-", "yes", "e"]);
        assert_eq!(found[2], ["-"; 13]);
        let names: Vec<String> =
            EventPayload::new(columns.to_vec()).fields.iter().map(|field| field.name().clone()).collect();
        assert_eq!(names[..2], ["watch_time_ms", "watch_time_ms_text"]);
        assert_eq!(names[7..], ["n", "n_text", "rate", "flag", "flag_text", "extra"]);
    }

    fn any_value() -> impl Strategy<Value = String> {
        prop_oneof![
            "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,2})?",
            (0..700_000_000_i64).prop_map(|number| number.to_string()),
            Just("\"5\"".to_owned()),
            Just("null".to_owned()),
            Just("{}".to_owned()),
            Just("oops".to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn the_watch_time_is_the_streams(entries in prop::collection::vec(("watch_time_ms|x|y", any_value()), 0..4), end in "\\}|\\} |,\\}|") {
            let inside: Vec<String> = entries.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            let body = format!("{{{}{end}", inside.join(","));
            let found = values(&[&body], &[])[0][0].clone();
            // The stream counts nothing as nought.
            let counted: i64 = if found == "-" { 0 } else { found.parse().unwrap() };
            prop_assert_eq!(counted, watch_time_ms(&body), "{}", body);
            prop_assert!((0..=MAX_WATCH_TIME_MS).contains(&counted));
        }
    }
}
