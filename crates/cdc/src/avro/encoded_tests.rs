//! Values that another implementation of Avro has encoded are read as what they were.

use apache_avro::types::Value as AvroValue;
use apache_avro::{Schema, to_avro_datum};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::decode::{Limits, json_text};
use super::schema::WriterSchema;

/// A schema, a value of it, and that value as JSON.
type Case = (Value, AvroValue, Value);

fn leaf() -> impl Strategy<Value = Case> {
    prop_oneof![
        Just((json!("null"), AvroValue::Null, Value::Null)),
        any::<bool>().prop_map(|flag| (json!("boolean"), AvroValue::Boolean(flag), json!(flag))),
        any::<i32>().prop_map(|number| (json!("int"), AvroValue::Int(number), json!(number))),
        any::<i64>().prop_map(|number| (json!("long"), AvroValue::Long(number), json!(number))),
        // Halves: their decimals are short, so that JSON's reader here can't be off by a bit.
        any::<i16>().prop_map(|halves| {
            let number = f32::from(halves) / 2.0;
            (json!("float"), AvroValue::Float(number), json!(f64::from(number)))
        }),
        any::<i32>().prop_map(|halves| {
            let number = f64::from(halves) / 2.0;
            (json!("double"), AvroValue::Double(number), json!(number))
        }),
        any::<Vec<u8>>().prop_map(|bytes| {
            let text = STANDARD.encode(&bytes);
            (json!("bytes"), AvroValue::Bytes(bytes), json!(text))
        }),
        any::<String>().prop_map(|text| (json!("string"), AvroValue::String(text.clone()), json!(text))),
        (0..3_u32).prop_map(|at| {
            let schema = json!({"type": "enum", "name": "NAME", "symbols": ["A", "B", "C"]});
            let symbol = ["A", "B", "C"][at as usize];
            (schema, AvroValue::Enum(at, symbol.to_owned()), json!(symbol))
        }),
        any::<[u8; 5]>().prop_map(|bytes| {
            let schema = json!({"type": "fixed", "name": "NAME", "size": 5});
            (schema, AvroValue::Fixed(5, bytes.to_vec()), json!(STANDARD.encode(bytes)))
        }),
    ]
}

fn array((items, value, json): Case, length: usize) -> Case {
    let schema = json!({"type": "array", "items": items});
    (schema, AvroValue::Array(vec![value; length]), Value::Array(vec![json; length]))
}

fn map((values, value, json): Case, keys: Vec<String>) -> Case {
    let entries = keys.iter().map(|key| (key.clone(), value.clone())).collect();
    let object = keys.into_iter().map(|key| (key, json.clone())).collect();
    (json!({"type": "map", "values": values}), AvroValue::Map(entries), Value::Object(object))
}

fn nullable((schema, value, json): Case, is_null: bool) -> Case {
    // A union holds no union, and nothing twice.
    if schema == "null" || schema.is_array() {
        return (schema, value, json);
    }
    let (at, value, json) = if is_null { (0, AvroValue::Null, Value::Null) } else { (1, value, json) };
    (json!(["null", schema]), AvroValue::Union(at, Box::new(value)), json)
}

fn record(parts: Vec<Case>) -> Case {
    let (mut fields, mut values, mut object) = (Vec::new(), Vec::new(), serde_json::Map::new());
    for (number, (schema, value, json)) in parts.into_iter().enumerate() {
        let name = format!("f{number}");
        fields.push(json!({"name": name, "type": schema}));
        values.push((name.clone(), value));
        object.insert(name, json);
    }
    let schema = json!({"type": "record", "name": "NAME", "fields": fields});
    (schema, AvroValue::Record(values), Value::Object(object))
}

fn case() -> impl Strategy<Value = Case> {
    leaf().prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            (inner.clone(), 0..4_usize).prop_map(|(case, length)| array(case, length)),
            (inner.clone(), prop::collection::vec("[a-z\"\\\\]{0,3}", 0..1))
                .prop_map(|(case, keys)| map(case, keys)),
            (inner.clone(), any::<bool>()).prop_map(|(case, is_null)| nullable(case, is_null)),
            prop::collection::vec(inner, 0..4).prop_map(record),
        ]
    })
}

/// Gives each named type a name of its own.
fn named(schema: &mut Value, count: &mut usize) {
    match schema {
        Value::Array(branches) => branches.iter_mut().for_each(|branch| named(branch, count)),
        Value::Object(attributes) => {
            for (name, attribute) in attributes.iter_mut() {
                match attribute {
                    Value::String(text) if name == "name" && text == "NAME" => {
                        *count += 1;
                        *text = format!("N{count}");
                    }
                    other => named(other, count),
                }
            }
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn values_are_read_as_they_were((mut schema, value, expected) in case()) {
        named(&mut schema, &mut 0);
        let text = schema.to_string();
        let encoded = to_avro_datum(&Schema::parse_str(&text).unwrap(), value).unwrap();
        let limits = Limits { max_text_bytes: 1 << 20, max_depth: 20 };
        let read = json_text(&WriterSchema::parse(&text).unwrap(), &encoded, limits).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(&read).unwrap(), expected, "{} by {}", read, text);
    }
}
