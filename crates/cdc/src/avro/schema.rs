//! The schema that records were written by: its JSON text as a tree that the decoder walks, and what it declares of the row.
//!
//! Attributes that a converter of Connect adds say what a type means (`connect.name`, `connect.parameters`); without them
//! Avro's own logical types do. Names and types alone decide how bytes are read: defaults and aliases are of no use here.

use hashbrown::{HashMap, HashSet};
use serde_json::{Map, Value};

use crate::connect_schema::{Declared, Meaning, RowTypes};

/// Number of a type in its schema.
pub(super) type TypeNumber = usize;

/// How the bytes of a value are laid out.
#[derive(Debug)]
pub(super) enum Layout {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    /// So many bytes.
    Fixed(usize),
    /// Its symbols, each as a JSON string.
    Enum(Vec<Box<str>>),
    Array(TypeNumber),
    Map(TypeNumber),
    Union(Vec<TypeNumber>),
    Record(Vec<RecordField>),
}

/// A field of a record.
#[derive(Debug)]
pub(super) struct RecordField {
    name: Box<str>,
    /// What stands before its value in JSON: the name as a string, and a colon.
    pub(super) label: Box<str>,
    pub(super) of: TypeNumber,
}

#[derive(Debug)]
struct Type {
    layout: Layout,
    declared: Declared,
}

/// Why a text is no schema that records can be read by.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct SchemaError {
    reason: String,
}

fn refused<T>(reason: impl Into<String>) -> Result<T, SchemaError> {
    Err(SchemaError { reason: reason.into() })
}

/// A schema that records were written by.
#[derive(Debug)]
pub struct WriterSchema {
    types: Vec<Type>,
    root: TypeNumber,
    row_types: RowTypes,
}

impl WriterSchema {
    /// Reads the JSON text of an Avro schema.
    ///
    /// # Errors
    /// It is no JSON, no schema by Avro's specification, or refers to a type that it does not define.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => return refused(format!("it is no JSON that can be read: {error}")),
        };
        let mut types = Types::default();
        let root = types.read(&value, "")?;
        let mut schema = Self { types: types.read, root, row_types: RowTypes::default() };
        schema.row_types = schema.declared_of_row();
        Ok(schema)
    }

    /// Where a record's value begins.
    pub(super) fn root(&self) -> TypeNumber {
        self.root
    }

    pub(super) fn layout(&self, of: TypeNumber) -> &Layout {
        &self.types[of].layout
    }

    /// Whether a value is a record, or null.
    pub(super) fn is_of_a_record(&self) -> bool {
        self.fields(self.root).is_some()
    }

    /// What it declares of the row's columns; nothing when it is not an envelope's.
    pub(crate) fn row_types(&self) -> &RowTypes {
        &self.row_types
    }

    fn declared_of_row(&self) -> RowTypes {
        let envelope = self.fields(self.root).unwrap_or_default();
        let named = |wanted: &str| envelope.iter().find(|field| *field.name == *wanted);
        let row = named("after").or_else(|| named("before"));
        let columns = row.and_then(|row| self.fields(row.of)).unwrap_or_default();
        columns.iter().map(|column| (column.name.to_string(), self.types[column.of].declared)).collect()
    }

    /// The fields of a record that may be null.
    fn fields(&self, of: TypeNumber) -> Option<&[RecordField]> {
        match &self.types[present(&self.types, of)?].layout {
            Layout::Record(fields) => Some(fields),
            _ => None,
        }
    }
}

/// The one type of a value that is not null; `None` where there are several.
fn present(types: &[Type], of: TypeNumber) -> Option<TypeNumber> {
    let Layout::Union(branches) = &types[of].layout else { return Some(of) };
    let mut others = branches.iter().filter(|branch| !matches!(types[**branch].layout, Layout::Null));
    let first = others.next()?;
    others.next().is_none().then_some(*first)
}

/// The types of a schema that is being read.
#[derive(Default)]
struct Types {
    read: Vec<Type>,
    by_name: HashMap<String, TypeNumber>,
}

impl Types {
    /// Goes as deep as the JSON does, which serde_json bounds.
    fn read(&mut self, value: &Value, namespace: &str) -> Result<TypeNumber, SchemaError> {
        match value {
            Value::String(name) => self.plain(name, &Map::new(), namespace),
            Value::Array(branches) => self.union(branches, namespace),
            Value::Object(attributes) => self.object(attributes, namespace),
            _ => refused(format!("a type is a string, an object or an array, not {value}")),
        }
    }

    fn object(
        &mut self,
        attributes: &Map<String, Value>,
        namespace: &str,
    ) -> Result<TypeNumber, SchemaError> {
        let kind = match attributes.get("type") {
            Some(Value::String(kind)) => kind.as_str(),
            Some(nested) => return self.read(nested, namespace),
            None => return refused("a type is an object without \"type\""),
        };
        match kind {
            "record" | "error" => self.record(attributes, namespace),
            "enum" => {
                let symbols = texts(attributes, "symbols")?.iter().map(|symbol| quoted(symbol)).collect();
                let number = self.push(Layout::Enum(symbols), Declared::Text);
                self.name(attributes, namespace, number).map(|_| number)
            }
            "fixed" => {
                let size = attributes.get("size").and_then(Value::as_u64);
                let Some(size) = size.and_then(|size| usize::try_from(size).ok()) else {
                    return refused("a type fixed has no size");
                };
                let declared = Meaning { kind: "bytes", ..meaning(attributes) }.declared();
                let number = self.push(Layout::Fixed(size), declared);
                self.name(attributes, namespace, number).map(|_| number)
            }
            "array" => {
                let items = self.read(attribute(attributes, "items")?, namespace)?;
                let holds_text = present(&self.read, items)
                    .is_some_and(|item| matches!(self.read[item].layout, Layout::Text | Layout::Enum(_)));
                let declared = if holds_text { Declared::TextList } else { Declared::Json };
                Ok(self.push(Layout::Array(items), declared))
            }
            "map" => {
                let values = self.read(attribute(attributes, "values")?, namespace)?;
                Ok(self.push(Layout::Map(values), Declared::Json))
            }
            _ => self.plain(kind, attributes, namespace),
        }
    }

    /// A primitive type, or one that is defined elsewhere.
    fn plain(
        &mut self,
        name: &str,
        attributes: &Map<String, Value>,
        namespace: &str,
    ) -> Result<TypeNumber, SchemaError> {
        let (layout, kind) = match name {
            "null" => (Layout::Null, ""),
            "boolean" => (Layout::Boolean, "boolean"),
            "int" => (Layout::Int, "int32"),
            "long" => (Layout::Long, "int64"),
            "float" => (Layout::Float, "float32"),
            "double" => (Layout::Double, "float64"),
            "bytes" => (Layout::Bytes, "bytes"),
            "string" => (Layout::Text, "string"),
            _ => {
                let known = [full_name(name, namespace), name.to_owned()];
                let known = known.iter().find_map(|name| self.by_name.get(name.as_str()));
                return match known {
                    Some(number) => Ok(*number),
                    None => refused(format!(
                        "it does not define its type {name:?}: schemas that refer to others are not read"
                    )),
                };
            }
        };
        Ok(self.push(layout, Meaning { kind, ..meaning(attributes) }.declared()))
    }

    fn union(&mut self, branches: &[Value], namespace: &str) -> Result<TypeNumber, SchemaError> {
        let branches: Vec<_> =
            branches.iter().map(|branch| self.read(branch, namespace)).collect::<Result<_, _>>()?;
        // Each level of a value is an object or an array of JSON, so that its depth is bounded with theirs.
        if branches.iter().any(|branch| matches!(self.read[*branch].layout, Layout::Union(_))) {
            return refused("a union holds a union");
        }
        let number = self.push(Layout::Union(branches), Declared::Json);
        if let Some(only) = present(&self.read, number) {
            self.read[number].declared = self.read[only].declared;
        }
        Ok(number)
    }

    fn record(
        &mut self,
        attributes: &Map<String, Value>,
        namespace: &str,
    ) -> Result<TypeNumber, SchemaError> {
        // Its fields may refer to it.
        let number = self.push(Layout::Record(Vec::new()), Declared::Json);
        let name = self.name(attributes, namespace, number)?;
        let named = Meaning { kind: "struct", ..meaning(attributes) };
        let by_name = Meaning { kind: "struct", name: &name, ..Meaning::default() };
        self.read[number].declared = if named.name.is_empty() { by_name } else { named }.declared();
        let inner = name.rsplit_once('.').map_or("", |(inner, _)| inner);
        let Some(Value::Array(described)) = attributes.get("fields") else {
            return refused(format!("its record {name:?} has no fields"));
        };
        let (mut fields, mut names) = (Vec::with_capacity(described.len()), HashSet::new());
        for field in described {
            let Some(field_name) = field.get("name").and_then(Value::as_str) else {
                return refused(format!("a field of {name:?} has no name"));
            };
            if !names.insert(field_name) {
                return refused(format!("{name:?} has two fields {field_name:?}"));
            }
            let Some(of) = field.get("type") else {
                return refused(format!("field {field_name:?} of {name:?} has no type"));
            };
            let label = format!("{}:", quoted(field_name)).into();
            fields.push(RecordField { name: field_name.into(), label, of: self.read(of, inner)? });
        }
        self.read[number].layout = Layout::Record(fields);
        Ok(number)
    }

    fn push(&mut self, layout: Layout, declared: Declared) -> TypeNumber {
        self.read.push(Type { layout, declared });
        self.read.len() - 1
    }

    /// Notes the name of a type, and gives it in full.
    fn name(
        &mut self,
        attributes: &Map<String, Value>,
        namespace: &str,
        number: TypeNumber,
    ) -> Result<String, SchemaError> {
        let Some(name) = attributes.get("name").and_then(Value::as_str) else {
            return refused("a record, an enum or a fixed has no name");
        };
        let namespace = attributes.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
        let full = full_name(name, namespace);
        match self.by_name.insert(full.clone(), number) {
            None => Ok(full),
            Some(_) => refused(format!("it defines {full:?} twice")),
        }
    }
}

fn full_name(name: &str, namespace: &str) -> String {
    if namespace.is_empty() || name.contains('.') { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn attribute<'a>(attributes: &'a Map<String, Value>, name: &str) -> Result<&'a Value, SchemaError> {
    attributes.get(name).map_or_else(|| refused(format!("a type has no {name:?}")), Ok)
}

fn texts<'a>(attributes: &'a Map<String, Value>, name: &str) -> Result<Vec<&'a str>, SchemaError> {
    let list = attribute(attributes, name)?.as_array();
    let texts = list.and_then(|list| list.iter().map(Value::as_str).collect());
    texts.map_or_else(|| refused(format!("{name:?} of a type are not strings")), Ok)
}

fn quoted(text: &str) -> Box<str> {
    Value::from(text).to_string().into()
}

/// What attributes say that a type means.
fn meaning(attributes: &Map<String, Value>) -> Meaning<'_> {
    let parameter =
        |name: &str| attributes.get("connect.parameters")?.get(name)?.as_str()?.parse::<i32>().ok();
    let own = |name: &str| attributes.get(name)?.as_i64()?.try_into().ok();
    let precision = parameter("connect.decimal.precision").or_else(|| own("precision"));
    Meaning {
        kind: "",
        name: match attributes.get("connect.name").and_then(Value::as_str) {
            Some(name) => name,
            None => logical_name(attributes.get("logicalType").and_then(Value::as_str).unwrap_or_default()),
        },
        scale: parameter("scale").or_else(|| own("scale")),
        precision: precision.and_then(|precision| precision.try_into().ok()),
    }
}

/// Connect's or Debezium's name of what a logical type of Avro means.
fn logical_name(logical_type: &str) -> &'static str {
    match logical_type {
        "decimal" => "org.apache.kafka.connect.data.Decimal",
        "date" => "io.debezium.time.Date",
        "timestamp-millis" | "local-timestamp-millis" => "io.debezium.time.Timestamp",
        "timestamp-micros" | "local-timestamp-micros" => "io.debezium.time.MicroTimestamp",
        "timestamp-nanos" | "local-timestamp-nanos" => "io.debezium.time.NanoTimestamp",
        _ => "",
    }
}
