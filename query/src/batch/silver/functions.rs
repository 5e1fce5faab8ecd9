//! The functions of silver's SQL that know the day's rows: which of them count, and to which sessions they belong.

use std::any::Any;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use pulselake_model::schema::timestamp_type;

use super::duplicates::Duplicates;
use super::payload::EventPayload;
use super::sessions::{Sessions, user_key};
use crate::batch::payload_column::PayloadColumn;

/// What the rows of a day are judged by.
#[derive(Clone, Debug)]
pub struct DayKnowledge {
    /// Rows that repeat others.
    pub duplicates: Arc<Duplicates>,
    /// Sessions of the users of this slice.
    pub sessions: Arc<Sessions>,
    /// Columns of new payload fields.
    pub columns: Vec<PayloadColumn>,
    /// How many slices the users are divided into.
    pub slices: u64,
}

/// The functions of silver's SQL for a day: `counts_once`, `session_start`, `user_slice` and `event_payload`.
pub fn functions(day: &DayKnowledge) -> Vec<ScalarUDF> {
    vec![
        ScalarUDF::from(Function::counts_once(day.duplicates.clone())),
        ScalarUDF::from(Function::session_start(day.sessions.clone())),
        ScalarUDF::from(Function::user_slice(day.slices)),
        ScalarUDF::from(EventPayload::new(day.columns.clone())),
    ]
}

/// The slice of a user, out of so many.
pub fn user_slice(user: u128, slices: u64) -> u64 {
    // Other bits than those that hash tables use first.
    ((user >> 64) as u64) % slices.max(1)
}

/// A function of columns that also knows something of the day.
#[derive(Debug)]
struct Function {
    name: &'static str,
    signature: Signature,
    returns: DataType,
    knows: Knows,
}

#[derive(Clone, Debug)]
enum Knows {
    Duplicates(Arc<Duplicates>),
    Sessions(Arc<Sessions>),
    Slices(u64),
}

impl Function {
    /// `counts_once(source_topic, source_partition, source_offset)`: false for a row that repeats another.
    fn counts_once(duplicates: Arc<Duplicates>) -> Self {
        let arguments = vec![DataType::Utf8, DataType::Int32, DataType::Int64];
        // Volatile: of a record that is there twice, one of two equal calls is true.
        let signature = Signature::exact(arguments, Volatility::Volatile);
        Self {
            name: "counts_once",
            signature,
            returns: DataType::Boolean,
            knows: Knows::Duplicates(duplicates),
        }
    }

    /// `session_start(user_id, event_timestamp)`: when the event's session began.
    fn session_start(sessions: Arc<Sessions>) -> Self {
        let arguments = vec![DataType::Utf8, timestamp_type()];
        let signature = Signature::exact(arguments, Volatility::Immutable);
        Self { name: "session_start", signature, returns: timestamp_type(), knows: Knows::Sessions(sessions) }
    }

    /// `user_slice(user_id)`: the number of the user's slice.
    fn user_slice(slices: u64) -> Self {
        let signature = Signature::exact(vec![DataType::Utf8], Volatility::Immutable);
        Self { name: "user_slice", signature, returns: DataType::Int64, knows: Knows::Slices(slices) }
    }

    /// What makes one of two functions of the same name and kind another.
    fn identity(&self) -> (&'static str, usize) {
        let place = match &self.knows {
            Knows::Duplicates(duplicates) => Arc::as_ptr(duplicates).addr(),
            Knows::Sessions(sessions) => Arc::as_ptr(sessions).addr(),
            Knows::Slices(slices) => usize::try_from(*slices).unwrap_or(usize::MAX),
        };
        (self.name, place)
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let arrays: Vec<ArrayRef> =
            args.args.into_iter().map(|value| value.into_array(rows)).collect::<Result<_>>()?;
        let answer: ArrayRef = match (&self.knows, arrays.as_slice()) {
            (Knows::Duplicates(duplicates), [topics, partitions, offsets]) => {
                let (topics, partitions, offsets) = (
                    topics.as_string::<i32>(),
                    partitions.as_primitive::<Int32Type>(),
                    offsets.as_primitive::<Int64Type>(),
                );
                let counts = |row: usize| {
                    duplicates.counts(topics.value(row), partitions.value(row), offsets.value(row))
                };
                match duplicates.rows() {
                    0 => Arc::new(BooleanArray::from(vec![true; rows])),
                    _ => Arc::new((0..rows).map(|row| Some(counts(row))).collect::<BooleanArray>()),
                }
            }
            (Knows::Sessions(sessions), [users, moments]) => {
                let (users, moments) =
                    (users.as_string::<i32>(), moments.as_primitive::<TimestampMicrosecondType>());
                let started = |row: usize| {
                    let (user_id, moment_us) = (users.value(row), moments.value(row));
                    sessions.started_us(user_key(user_id), moment_us).ok_or_else(|| {
                        let what =
                            format!("no session was found for an event of {user_id} at {moment_us} µs");
                        DataFusionError::Internal(what)
                    })
                };
                let started: Vec<i64> = (0..rows).map(started).collect::<Result<_>>()?;
                Arc::new(TimestampMicrosecondArray::from(started).with_data_type(timestamp_type()))
            }
            (Knows::Slices(slices), [users]) => {
                let users = users.as_string::<i32>();
                // Fewer slices than i64 has numbers.
                let number = |row: usize| user_slice(user_key(users.value(row)), *slices) as i64;
                Arc::new(Int64Array::from_iter_values((0..rows).map(number)))
            }
            _ => {
                return Err(DataFusionError::Internal(format!("{} has other arguments", self.name)));
            }
        };
        Ok(ColumnarValue::Array(answer))
    }
}
