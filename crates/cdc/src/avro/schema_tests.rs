//! What schemas declare, and what is refused.

use super::schema::WriterSchema;
use crate::connect_schema::Declared;

fn declared(column: &str) -> Declared {
    let text = format!(
        r#"{{"type":"record","name":"Envelope","namespace":"a.b","fields":[
            {{"name":"before","type":["null",{{"type":"record","name":"Value","fields":[
                {{"name":"x","type":{column}}}]}}],"default":null}},
            {{"name":"after","type":["null","Value"]}}]}}"#
    );
    WriterSchema::parse(&text).unwrap().row_types()["x"]
}

fn connect(kind: &str, name: &str) -> String {
    format!(r#"["null",{{"type":"{kind}","connect.version":1,"connect.name":"{name}"}}]"#)
}

#[test]
fn every_type_has_its_meaning() {
    let cases = [
        (r#""boolean""#.to_owned(), Declared::Boolean),
        (r#"{"type":"int","connect.type":"int16"}"#.to_owned(), Declared::Int),
        (r#"["long","null"]"#.to_owned(), Declared::Long),
        (r#""float""#.to_owned(), Declared::Float),
        (r#""double""#.to_owned(), Declared::Double),
        (r#"["null","string"]"#.to_owned(), Declared::Text),
        (r#""bytes""#.to_owned(), Declared::Binary),
        (connect("int", "io.debezium.time.Date"), Declared::Date),
        (connect("int", "org.apache.kafka.connect.data.Date"), Declared::Date),
        (connect("long", "io.debezium.time.Timestamp"), Declared::TimestampMs),
        (connect("long", "io.debezium.time.MicroTimestamp"), Declared::TimestampUs),
        (connect("long", "io.debezium.time.NanoTimestamp"), Declared::TimestampNs),
        (connect("long", "io.debezium.time.MicroTime"), Declared::Long),
        (connect("string", "io.debezium.time.ZonedTimestamp"), Declared::TimestampText),
        (connect("string", "io.debezium.data.Json"), Declared::Text),
        (r#"{"type":"int","logicalType":"date"}"#.to_owned(), Declared::Date),
        (r#"{"type":"long","logicalType":"timestamp-millis"}"#.to_owned(), Declared::TimestampMs),
        (r#"{"type":"long","logicalType":"local-timestamp-micros"}"#.to_owned(), Declared::TimestampUs),
        (r#"{"type":"long","logicalType":"timestamp-nanos"}"#.to_owned(), Declared::TimestampNs),
        (r#"{"type":"int","logicalType":"time-millis"}"#.to_owned(), Declared::Int),
        (
            r#"{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}"#.to_owned(),
            Declared::Decimal { precision: 10, scale: 2 },
        ),
        (
            r#"{"type":"fixed","name":"f","size":9,"logicalType":"decimal","precision":20}"#.to_owned(),
            Declared::Decimal { precision: 20, scale: 0 },
        ),
        // A converter that is told no precision writes 64.
        (
            r#"{"type":"bytes","logicalType":"decimal","precision":64,"scale":2}"#.to_owned(),
            Declared::WideDecimal { scale: 2 },
        ),
        (
            r#"{"type":"bytes","connect.parameters":{"scale":"3","connect.decimal.precision":"9"},
                "connect.name":"org.apache.kafka.connect.data.Decimal"}"#
                .to_owned(),
            Declared::Decimal { precision: 9, scale: 3 },
        ),
        (r#"{"type":"fixed","name":"f","size":4}"#.to_owned(), Declared::Binary),
        (r#"{"type":"enum","name":"e","symbols":["A"]}"#.to_owned(), Declared::Text),
        (r#"{"type":"array","items":["null","string"]}"#.to_owned(), Declared::TextList),
        (r#"{"type":"array","items":"int"}"#.to_owned(), Declared::Json),
        (r#"{"type":"map","values":"string"}"#.to_owned(), Declared::Json),
        (r#"["null","string","long"]"#.to_owned(), Declared::Json),
        (r#"{"type":"record","name":"p","fields":[]}"#.to_owned(), Declared::Json),
        (
            r#"{"type":"record","name":"VariableScaleDecimal","namespace":"io.debezium.data","fields":[
                {"name":"scale","type":"int"},{"name":"value","type":"bytes"}]}"#
                .to_owned(),
            Declared::VariableDecimal,
        ),
    ];
    for (column, expected) in cases {
        assert_eq!(declared(&column), expected, "{column}");
    }
}

#[test]
fn what_is_no_envelope_declares_nothing() {
    for text in [r#""string""#, r#"["null","long"]"#, r#"{"type":"record","name":"r","fields":[]}"#] {
        assert!(WriterSchema::parse(text).unwrap().row_types().is_empty(), "{text}");
    }
}

#[test]
fn what_is_no_schema_is_refused_with_its_fault() {
    let cases = [
        ("{", "no JSON"),
        ("5", "not 5"),
        ("{}", "without \"type\""),
        (r#""Value""#, "does not define its type \"Value\""),
        (r#"{"type":"array"}"#, "no \"items\""),
        (r#"{"type":"enum","name":"e","symbols":[1]}"#, "\"symbols\" of a type are not strings"),
        (r#"{"type":"fixed","name":"f"}"#, "no size"),
        (r#"{"type":"fixed","size":1}"#, "no name"),
        (r#"["null",["null","int"]]"#, "a union holds a union"),
        (r#"{"type":"record","name":"r"}"#, "\"r\" has no fields"),
        (r#"{"type":"record","name":"r","fields":[{"type":"int"}]}"#, "a field of \"r\" has no name"),
        (r#"{"type":"record","name":"r","fields":[{"name":"a"}]}"#, "field \"a\" of \"r\" has no type"),
        (
            r#"{"type":"record","name":"r","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}"#,
            "two fields \"a\"",
        ),
        (
            r#"[{"type":"enum","name":"e","symbols":[]},{"type":"fixed","name":"e","size":1}]"#,
            "defines \"e\" twice",
        ),
    ];
    for (text, expected) in cases {
        let reason = WriterSchema::parse(text).unwrap_err().to_string();
        assert!(reason.contains(expected), "{text}: {reason}");
    }
    let deep = format!("{}\"int\"{}", r#"{"type":"array","items":"#.repeat(200), "}".repeat(200));
    assert!(WriterSchema::parse(&deep).unwrap_err().to_string().contains("recursion"));
}
