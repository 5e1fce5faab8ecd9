//! Avro's binary encoding to JSON text, as Connect's JSON converter would have written the same value.
//!
//! Bytes are base64, also those of decimals; what JSON has no number for is a string (`"NaN"`); an enum is its symbol; a value
//! of a union stands there without the union. No input makes it panic, recurse beyond its bound or write more than allowed:
//! each item of an array writes at least one byte of text, whatever its own length is.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::schema::{Layout, TypeNumber, WriterSchema};

/// The most bytes of a whole number of 64 bits, seven of whose bits are in each.
const MAX_VARINT_BYTES: u32 = 10;

/// Why bytes are not what their schema says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// They end before the value does.
    Truncated,
    /// The value ends before they do.
    Trailing(usize),
    /// A number beyond what its type holds.
    BadNumber,
    /// A boolean that is neither 0 nor 1.
    BadBoolean(u8),
    /// No such branch or symbol.
    NoSuchChoice(i64),
    /// A length below 0.
    NegativeLength(i64),
    /// Text that is not UTF-8.
    NotUtf8,
    /// Deeper than allowed.
    TooDeep,
    /// Longer than allowed as JSON.
    TooLong,
}

/// What is allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of the JSON text.
    pub(super) max_text_bytes: usize,
    /// Levels of objects and arrays, the outermost included.
    pub(super) max_depth: usize,
}

/// The JSON text of a value, or what is wrong with its bytes and where.
pub(super) fn json_text(
    schema: &WriterSchema,
    bytes: &[u8],
    limits: Limits,
) -> Result<String, (Fault, usize)> {
    let text = String::with_capacity((bytes.len() * 3).min(limits.max_text_bytes));
    let mut reading = Reading { schema, bytes, at: 0, text, limits };
    match reading.value(schema.root(), 0) {
        Err(fault) => Err((fault, reading.at)),
        Ok(()) if reading.at < bytes.len() => Err((Fault::Trailing(bytes.len() - reading.at), reading.at)),
        Ok(()) => Ok(reading.text),
    }
}

struct Reading<'a> {
    schema: &'a WriterSchema,
    bytes: &'a [u8],
    /// How many bytes are read.
    at: usize,
    text: String,
    limits: Limits,
}

impl<'a> Reading<'a> {
    fn value(&mut self, of: TypeNumber, depth: usize) -> Result<(), Fault> {
        let schema = self.schema;
        match schema.layout(of) {
            Layout::Null => self.text.push_str("null"),
            Layout::Boolean => match self.take(1)?[0] {
                0 => self.text.push_str("false"),
                1 => self.text.push_str("true"),
                other => return Err(Fault::BadBoolean(other)),
            },
            Layout::Int => {
                let number = i32::try_from(self.varint()?).map_err(|_| Fault::BadNumber)?;
                self.print(format_args!("{number}"));
            }
            Layout::Long => {
                let number = self.varint()?;
                self.print(format_args!("{number}"));
            }
            Layout::Float => {
                let number = f32::from_le_bytes(self.array()?);
                self.float(number.is_finite(), number.into(), format_args!("{number:?}"));
            }
            Layout::Double => {
                let number = f64::from_le_bytes(self.array()?);
                self.float(number.is_finite(), number, format_args!("{number:?}"));
            }
            Layout::Bytes => {
                let length = self.length()?;
                self.base64(length)?;
            }
            Layout::Fixed(length) => self.base64(*length)?,
            Layout::Text => self.string()?,
            Layout::Enum(symbols) => {
                let symbol = choice(symbols, self.varint()?)?;
                self.text.push_str(symbol);
            }
            Layout::Union(branches) => {
                let branch = *choice(branches, self.varint()?)?;
                self.value(branch, depth)?;
            }
            Layout::Array(items) => {
                self.items('[', ']', depth, |reading| reading.value(*items, depth + 1))?;
            }
            Layout::Map(values) => self.items('{', '}', depth, |reading| {
                reading.string()?;
                reading.text.push(':');
                reading.value(*values, depth + 1)
            })?,
            Layout::Record(fields) => {
                self.open('{', depth)?;
                for (at, field) in fields.iter().enumerate() {
                    if at > 0 {
                        self.text.push(',');
                    }
                    self.text.push_str(&field.label);
                    self.value(field.of, depth + 1)?;
                }
                self.text.push('}');
            }
        }
        if self.text.len() > self.limits.max_text_bytes { Err(Fault::TooLong) } else { Ok(()) }
    }

    fn open(&mut self, bracket: char, depth: usize) -> Result<(), Fault> {
        if depth >= self.limits.max_depth {
            return Err(Fault::TooDeep);
        }
        self.text.push(bracket);
        Ok(())
    }

    /// Blocks of items up to an empty one; a negative count has the block's bytes behind it.
    fn items(
        &mut self,
        open: char,
        close: char,
        depth: usize,
        mut item: impl FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.open(open, depth)?;
        let mut is_first = true;
        loop {
            let count = self.varint()?;
            if count < 0 {
                self.varint()?;
            }
            if count == 0 {
                self.text.push(close);
                return Ok(());
            }
            for _ in 0..count.unsigned_abs() {
                if !std::mem::replace(&mut is_first, false) {
                    self.text.push(',');
                }
                item(self)?;
            }
        }
    }

    fn string(&mut self) -> Result<(), Fault> {
        let length = self.length()?;
        let content = std::str::from_utf8(self.take(length)?).map_err(|_| Fault::NotUtf8)?;
        if content.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
            self.print(format_args!("{}", serde_json::Value::from(content)));
        } else {
            self.print(format_args!("\"{content}\""));
        }
        Ok(())
    }

    fn base64(&mut self, length: usize) -> Result<(), Fault> {
        let bytes = self.take(length)?;
        self.text.push('"');
        STANDARD.encode_string(bytes, &mut self.text);
        self.text.push('"');
        Ok(())
    }

    fn float(&mut self, is_finite: bool, number: f64, printed: std::fmt::Arguments<'_>) {
        match number {
            _ if is_finite => self.print(printed),
            _ if number.is_nan() => self.text.push_str("\"NaN\""),
            _ if number > 0.0 => self.text.push_str("\"Infinity\""),
            _ => self.text.push_str("\"-Infinity\""),
        }
    }

    fn print(&mut self, printed: std::fmt::Arguments<'_>) {
        // A string takes everything.
        let _ = self.text.write_fmt(printed);
    }

    fn length(&mut self) -> Result<usize, Fault> {
        let length = self.varint()?;
        usize::try_from(length).map_err(|_| Fault::NegativeLength(length))
    }

    /// A whole number: seven bits a byte, the lowest first, the sign in the last bit.
    fn varint(&mut self) -> Result<i64, Fault> {
        let mut coded = 0_u64;
        for byte_number in 0..MAX_VARINT_BYTES {
            let byte = self.take(1)?[0];
            let (bits, shift) = (u64::from(byte & 0x7f), byte_number * 7);
            if bits << shift >> shift != bits {
                return Err(Fault::BadNumber);
            }
            coded |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok((coded >> 1).cast_signed() ^ -(coded & 1).cast_signed());
            }
        }
        Err(Fault::BadNumber)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.take(N)?.try_into().map_err(|_| Fault::Truncated)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (taken, _) = self.bytes[self.at..].split_at_checked(length).ok_or(Fault::Truncated)?;
        self.at += length;
        Ok(taken)
    }
}

fn choice<T>(choices: &[T], number: i64) -> Result<&T, Fault> {
    let chosen = usize::try_from(number).ok().and_then(|number| choices.get(number));
    chosen.ok_or(Fault::NoSuchChoice(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { max_text_bytes: 1_000, max_depth: 3 };

    fn read(schema: &str, bytes: &[u8]) -> Result<String, Fault> {
        json_text(&WriterSchema::parse(schema).unwrap(), bytes, LIMITS).map_err(|(fault, _)| fault)
    }

    /// The bytes are those of the specification's examples, and of its rules where it has none.
    #[test]
    fn every_layout_becomes_json() {
        let cases: [(&str, &[u8], &str); 26] = [
            (r#""null""#, &[], "null"),
            (r#""boolean""#, &[1], "true"),
            (r#""int""#, &[0x01], "-1"),
            (r#""int""#, &[0x80, 0x01], "64"),
            (r#""int""#, &[0xff, 0xff, 0xff, 0xff, 0x0f], "-2147483648"),
            (
                r#""long""#,
                &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
                "9223372036854775807",
            ),
            (
                r#""long""#,
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
                "-9223372036854775808",
            ),
            (r#""float""#, &0.1_f32.to_le_bytes(), "0.1"),
            (r#""float""#, &f32::NAN.to_le_bytes(), "\"NaN\""),
            (r#""double""#, &(-2.0_f64).to_le_bytes(), "-2.0"),
            (r#""double""#, &1e300_f64.to_le_bytes(), "1e300"),
            (r#""double""#, &f64::INFINITY.to_le_bytes(), "\"Infinity\""),
            (r#""double""#, &f64::NEG_INFINITY.to_le_bytes(), "\"-Infinity\""),
            (r#""bytes""#, &[4, 0x30, 0x39], "\"MDk=\""),
            (r#"{"type":"fixed","name":"f","size":2}"#, &[0x30, 0x39], "\"MDk=\""),
            (r#""string""#, &[0x06, 0x66, 0x6f, 0x6f], "\"foo\""),
            (r#""string""#, &[0x08, b'"', b'\\', b'\n', 1], "\"\\\"\\\\\\n\\u0001\""),
            (r#"{"type":"enum","name":"e","symbols":["A","B"]}"#, &[2], "\"B\""),
            (r#"["null","string"]"#, &[0], "null"),
            (r#"["null","string"]"#, &[2, 2, 0x61], "\"a\""),
            (r#"{"type":"array","items":"long"}"#, &[0x04, 0x06, 0x36, 0x00], "[3,27]"),
            // Two blocks, the first of which says its bytes.
            (r#"{"type":"array","items":"long"}"#, &[0x01, 0x02, 0x06, 0x02, 0x36, 0x00], "[3,27]"),
            (r#"{"type":"array","items":"null"}"#, &[0x04, 0x00], "[null,null]"),
            (r#"{"type":"map","values":"int"}"#, &[0x02, 0x02, 0x61, 0x06, 0x00], "{\"a\":3}"),
            (
                r#"{"type":"record","name":"test","fields":[{"name":"a","type":"long"},{"name":"b","type":"string"}]}"#,
                &[0x36, 0x06, 0x66, 0x6f, 0x6f],
                "{\"a\":27,\"b\":\"foo\"}",
            ),
            (r#"{"type":"record","name":"r","fields":[]}"#, &[], "{}"),
        ];
        for (schema, bytes, expected) in cases {
            assert_eq!(read(schema, bytes).as_deref(), Ok(expected), "{schema} {bytes:?}");
        }
    }

    #[test]
    fn every_fault_is_told() {
        let array = r#"{"type":"array","items":"null"}"#;
        let cases: [(&str, &[u8], Fault); 17] = [
            (r#""boolean""#, &[], Fault::Truncated),
            (r#""boolean""#, &[2], Fault::BadBoolean(2)),
            (r#""int""#, &[0x80], Fault::Truncated),
            (r#""int""#, &[0x80, 0x80, 0x80, 0x80, 0x10], Fault::BadNumber),
            (r#""long""#, &[0xff; 10], Fault::BadNumber),
            (r#""long""#, &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02], Fault::BadNumber),
            (r#""double""#, &[0; 7], Fault::Truncated),
            (r#""string""#, &[2], Fault::Truncated),
            (r#""string""#, &[1], Fault::NegativeLength(-1)),
            (r#""string""#, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Fault::Truncated),
            (r#""string""#, &[2, 0xff], Fault::NotUtf8),
            (r#"["null","int"]"#, &[4], Fault::NoSuchChoice(2)),
            (r#"{"type":"enum","name":"e","symbols":["A"]}"#, &[1], Fault::NoSuchChoice(-1)),
            (r#""null""#, &[7], Fault::Trailing(1)),
            (array, &[0x02], Fault::Truncated),
            // A quintillion of items that take no bytes.
            (array, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Fault::TooLong),
            (r#"{"type":"fixed","name":"f","size":18446744073709551615}"#, &[0], Fault::Truncated),
        ];
        for (schema, bytes, expected) in cases {
            assert_eq!(read(schema, bytes), Err(expected), "{schema} {bytes:?}");
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_goes_as_deep_as_allowed() {
        let schema = r#"{"type":"record","name":"list","fields":[{"name":"next","type":["null","list"]}]}"#;
        assert_eq!(read(schema, &[2, 2, 0]).as_deref(), Ok(r#"{"next":{"next":{"next":null}}}"#));
        assert_eq!(read(schema, &[2, 2, 2, 0]), Err(Fault::TooDeep));
        assert_eq!(read(schema, &[2; 100_000]), Err(Fault::TooDeep));
        // Without a union in between no value ends.
        let endless = r#"{"type":"record","name":"list","fields":[{"name":"next","type":"list"}]}"#;
        assert_eq!(read(endless, &[]), Err(Fault::TooDeep));
    }
}
