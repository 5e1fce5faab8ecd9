//! The columns that every build keeps of an entity, and how the source may write them.

use std::borrow::Cow;

use pulselake_decode::Rejection;
use pulselake_model::{Entity, ErrorCode};

use crate::connect_schema::Declared;
use crate::decimal::unscaled;
use crate::envelope::string;
use crate::read_value::text_list;
use crate::rejection::{rejection, shown, wrong_type};
use crate::timestamp::base_moment_us;
use crate::value::Value;

/// How a base column is written in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A string that is not empty.
    Key,
    /// A string.
    Text,
    /// An array of strings, or a string that holds one.
    TextList,
    /// A whole number.
    Whole,
    /// A number, in thousands of what the column counts.
    Thousands,
    /// RFC 3339, epoch milliseconds, or as the schema declares.
    Moment,
    /// A boolean, 0 or 1.
    Boolean,
}

/// A base column by one of its names in the source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attribute {
    /// Its name in the tables, or an alias of it.
    pub(crate) source_name: &'static str,
    /// Its place among the base columns; the key's is 0.
    pub(crate) at: usize,
    pub(crate) form: Form,
}

const fn attribute(source_name: &'static str, at: usize, form: Form) -> Attribute {
    Attribute { source_name, at, form }
}

const VIDEOS: [Attribute; 10] = [
    attribute("video_id", 0, Form::Key),
    attribute("creator_id", 1, Form::Text),
    attribute("category", 2, Form::Text),
    attribute("region", 3, Form::Text),
    attribute("hashtags", 4, Form::TextList),
    attribute("duration_ms", 5, Form::Whole),
    attribute("upload_time", 6, Form::Moment),
    attribute("status", 7, Form::Text),
    attribute("author_id", 1, Form::Text),
    attribute("duration_sec", 5, Form::Thousands),
];

const USERS: [Attribute; 6] = [
    attribute("user_id", 0, Form::Key),
    attribute("register_country", 1, Form::Text),
    attribute("device_os", 2, Form::Text),
    attribute("is_creator", 3, Form::Boolean),
    attribute("ltv_segment", 4, Form::Text),
    attribute("join_at", 5, Form::Moment),
];

/// The base columns of an entity in table order, and behind them the aliases.
pub(crate) fn attributes(entity: Entity) -> &'static [Attribute] {
    match entity {
        Entity::Videos => &VIDEOS,
        Entity::Users => &USERS,
    }
}

/// How many base columns an entity has: what is behind them is an alias.
pub(crate) fn attribute_count(entity: Entity) -> usize {
    attributes(entity).iter().map(|attribute| attribute.at + 1).max().unwrap_or(0)
}

impl Attribute {
    /// Reads a value that is not null. The key is not read here.
    pub(crate) fn read(&self, declared: Option<Declared>, raw: &str) -> Result<Value, Rejection> {
        let name = self.source_name;
        let wrong = |expected: &str| wrong_type(name, expected, raw);
        match self.form {
            Form::Key | Form::Text => Ok(Value::text(text(name, raw)?)),
            Form::TextList => texts(name, raw),
            Form::Whole => whole(raw, 0).ok_or_else(|| wrong("a whole number of 64 bits")),
            Form::Thousands => {
                whole(raw, 3).ok_or_else(|| wrong("a number with three decimal places at most"))
            }
            Form::Boolean => match raw {
                "true" | "1" => Ok(Value::Boolean(true)),
                "false" | "0" => Ok(Value::Boolean(false)),
                _ => Err(wrong("a boolean")),
            },
            Form::Moment if !matches!(raw.as_bytes().first(), Some(b'"' | b'-' | b'0'..=b'9')) => {
                Err(wrong("a string or a number"))
            }
            Form::Moment => base_moment_us(declared, raw).map(Value::Timestamp).ok_or_else(|| {
                let reason = format!(
                    "{name} {} is no moment from 1970 to 9999 in the form that its type asks for",
                    shown(raw)
                );
                rejection(ErrorCode::BadTimestamp, reason)
            }),
        }
    }
}

/// The content of a value that must be a string.
pub(crate) fn text<'a>(name: &str, raw: &'a str) -> Result<Cow<'a, str>, Rejection> {
    if raw.starts_with('"') { string(name, raw) } else { Err(wrong_type(name, "a string", raw)) }
}

fn whole(raw: &str, scale: i8) -> Option<Value> {
    if raw.starts_with('"') {
        return None;
    }
    unscaled(raw, scale).and_then(|number| i64::try_from(number).ok()).map(Value::Long)
}

/// An array of strings, a JSON string of one, or a string with PostgreSQL's text form of one (`{a,"b c",NULL}`).
fn texts(name: &str, raw: &str) -> Result<Value, Rejection> {
    let wrong = || wrong_type(name, "an array of strings", raw);
    if !raw.starts_with('"') {
        return text_list(raw).ok_or_else(wrong);
    }
    let content = string(name, raw)?;
    text_list(content.trim()).or_else(|| postgresql_array(content.trim())).ok_or_else(wrong)
}

/// One dimension alone.
fn postgresql_array(literal: &str) -> Option<Value> {
    let mut rest = literal.strip_prefix('{')?.strip_suffix('}')?;
    let mut texts: Vec<Option<Box<str>>> = Vec::new();
    if rest.is_empty() {
        return Some(Value::TextList(texts.into()));
    }
    loop {
        let after = if let Some(quoted) = rest.strip_prefix('"') {
            let (text, after) = postgresql_quoted(quoted)?;
            texts.push(Some(text.into()));
            after
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let (text, after) = rest.split_at(end);
            if text.is_empty() || text.contains(['{', '}', '"', '\\']) {
                return None;
            }
            texts.push((!text.eq_ignore_ascii_case("null")).then(|| text.into()));
            after
        };
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None if after.is_empty() => return Some(Value::TextList(texts.into())),
            None => return None,
        }
    }
}

/// The content up to the closing quote, and what follows it.
fn postgresql_quoted(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((text, &quoted[at + 1..])),
            '\\' => text.push(chars.next()?.1),
            _ => text.push(char),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::ColumnType;
    use pulselake_model::schema;

    fn column_type(form: Form) -> ColumnType {
        match form {
            Form::Key | Form::Text => ColumnType::Text,
            Form::TextList => ColumnType::TextList,
            Form::Whole | Form::Thousands => ColumnType::Long,
            Form::Moment => ColumnType::Timestamp,
            Form::Boolean => ColumnType::Boolean,
        }
    }

    fn read(entity: Entity, name: &str, raw: &str) -> Result<Value, ErrorCode> {
        let attribute = attributes(entity).iter().find(|attribute| attribute.source_name == name).unwrap();
        attribute.read(None, raw).map_err(|rejection| rejection.code)
    }

    #[test]
    fn the_base_columns_are_those_of_the_model() {
        for entity in Entity::ALL {
            let schema = schema::dimension(entity);
            assert_eq!(schema.fields().len(), attribute_count(entity) + 2);
            for (at, attribute) in attributes(entity).iter().take(attribute_count(entity)).enumerate() {
                assert_eq!((attribute.at, attribute.source_name), (at, schema.field(at).name().as_str()));
                assert_eq!(&column_type(attribute.form).data_type(), schema.field(at).data_type());
            }
        }
    }

    #[test]
    fn every_form_is_read() {
        let list = |texts: &[Option<&str>]| {
            Ok(Value::TextList(texts.iter().map(|text| text.map(Into::into)).collect::<Vec<_>>().into()))
        };
        let videos = [
            ("category", r#""a""#, Ok(Value::text("a"))),
            ("author_id", r#""a""#, Ok(Value::text("a"))),
            ("category", "5", Err(ErrorCode::WrongType)),
            ("duration_ms", "5", Ok(Value::Long(5))),
            ("duration_ms", "5.0", Ok(Value::Long(5))),
            ("duration_ms", "5.5", Err(ErrorCode::WrongType)),
            ("duration_ms", r#""5""#, Err(ErrorCode::WrongType)),
            ("duration_sec", "12.5", Ok(Value::Long(12_500))),
            ("duration_sec", "9223372036854775807", Err(ErrorCode::WrongType)),
            ("hashtags", r#"["a",null]"#, list(&[Some("a"), None])),
            ("hashtags", r#""[\"a\",\"b\"]""#, list(&[Some("a"), Some("b")])),
            ("hashtags", r#""{}""#, list(&[])),
            ("hashtags", r#""{a,\"b, \\\"c\",NULL}""#, list(&[Some("a"), Some(r#"b, "c"#), None])),
            ("hashtags", r#""{a,}""#, Err(ErrorCode::WrongType)),
            ("hashtags", r#""{{a}}""#, Err(ErrorCode::WrongType)),
            ("hashtags", r#""{\"a""#, Err(ErrorCode::WrongType)),
            ("hashtags", "[1]", Err(ErrorCode::WrongType)),
            ("hashtags", "{}", Err(ErrorCode::WrongType)),
            ("upload_time", "5", Ok(Value::Timestamp(5_000))),
            ("upload_time", r#""1970-01-01T00:00:01Z""#, Ok(Value::Timestamp(1_000_000))),
            ("upload_time", r#""now""#, Err(ErrorCode::BadTimestamp)),
            ("upload_time", "true", Err(ErrorCode::WrongType)),
        ];
        for (name, raw, expected) in videos {
            assert_eq!(read(Entity::Videos, name, raw), expected, "{name} {raw}");
        }
        let users = [
            ("is_creator", "true", Ok(Value::Boolean(true))),
            ("is_creator", "0", Ok(Value::Boolean(false))),
            ("is_creator", "2", Err(ErrorCode::WrongType)),
        ];
        for (name, raw, expected) in users {
            assert_eq!(read(Entity::Users, name, raw), expected, "{name} {raw}");
        }
    }
}
