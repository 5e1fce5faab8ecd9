//! What can go wrong with a query, for people and for programs.
//!
//! The codes are part of the HTTP API: they may be added to, never renamed.

use std::fmt;
use std::time::Duration;

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use pulselake_lake::LakeError;
use pulselake_read::ReadError;
use serde::Serialize;

/// What kind of error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The statement can't be understood, or names what is not there.
    BadSql,
    /// The statement would change something.
    ReadOnly,
    /// The statement is fine, but not with these rows: a cast, a division by zero.
    Execution,
    /// It took longer than it may.
    Timeout,
    /// It needed more memory, or room to spill, than there is.
    Memory,
    /// The result has more bytes than an answer may.
    TooLarge,
    /// More queries run and wait than may.
    Busy,
    /// Catalog or store do not answer, or a file can't be read.
    Unavailable,
    /// The request around the statement is wrong.
    BadRequest,
    /// A defect.
    Internal,
}

/// A place in the statement, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Position {
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
}

/// Why a query has no result.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// See [`ErrorCode::BadSql`].
    #[error("{message}")]
    BadSql {
        /// What is wrong.
        message: String,
        /// Where, if known.
        position: Option<Position>,
    },
    /// See [`ErrorCode::ReadOnly`].
    #[error(
        "{statement}: only SELECT, WITH, VALUES, EXPLAIN, SHOW and DESCRIBE are allowed; the tables are written by the engine"
    )]
    ReadOnly {
        /// The kind of statement.
        statement: String,
    },
    /// See [`ErrorCode::Execution`].
    #[error("{0}")]
    Execution(String),
    /// See [`ErrorCode::Timeout`].
    #[error(
        "the query took longer than its {limit:?}: ask for fewer rows (a range of time on window_start or event_timestamp reads less), or raise the limit"
    )]
    Timeout {
        /// What it had.
        limit: Duration,
    },
    /// See [`ErrorCode::Memory`].
    #[error(
        "the query needs more memory than is left for it: {0}; ask for fewer rows or groups, or raise the limit"
    )]
    Memory(String),
    /// See [`ErrorCode::TooLarge`].
    #[error(
        "the result has more than {limit_bytes} bytes: ask for fewer columns or rows, or use `pulselake sql`, which has no such limit"
    )]
    TooLarge {
        /// What an answer may have.
        limit_bytes: usize,
    },
    /// See [`ErrorCode::Busy`].
    #[error("{running} queries run and {waiting} wait already: try again in a moment")]
    Busy {
        /// That may run at the same time.
        running: usize,
        /// That may wait.
        waiting: usize,
    },
    /// See [`ErrorCode::Unavailable`].
    #[error("{0}")]
    Unavailable(String),
    /// See [`ErrorCode::BadRequest`].
    #[error("{0}")]
    BadRequest(String),
    /// Writing the result.
    #[error("can't write the result: {0}")]
    Output(#[from] std::io::Error),
    /// See [`ErrorCode::Internal`].
    #[error("{0}")]
    Internal(String),
}

impl QueryError {
    /// Its code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::BadSql { .. } => ErrorCode::BadSql,
            Self::ReadOnly { .. } => ErrorCode::ReadOnly,
            Self::Execution(_) => ErrorCode::Execution,
            Self::Timeout { .. } => ErrorCode::Timeout,
            Self::Memory(_) => ErrorCode::Memory,
            Self::TooLarge { .. } => ErrorCode::TooLarge,
            Self::Busy { .. } => ErrorCode::Busy,
            Self::Unavailable(_) => ErrorCode::Unavailable,
            Self::BadRequest(_) => ErrorCode::BadRequest,
            Self::Output(_) | Self::Internal(_) => ErrorCode::Internal,
        }
    }

    /// Where in the statement it is, if known.
    pub fn position(&self) -> Option<Position> {
        match self {
            Self::BadSql { position, .. } => *position,
            _ => None,
        }
    }

    /// An error of the catalog or the store.
    pub fn unavailable(error: impl fmt::Display) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<DataFusionError> for QueryError {
    fn from(error: DataFusionError) -> Self {
        let position = position_of(&error);
        let message = message_of(&error);
        match root_of(&error) {
            Root::Statement => Self::BadSql { message, position },
            Root::Rows => Self::Execution(message),
            Root::Resources => Self::Memory(message),
            Root::Lake => Self::Unavailable(message),
            Root::Defect => Self::Internal(message),
        }
    }
}

impl From<ArrowError> for QueryError {
    fn from(error: ArrowError) -> Self {
        DataFusionError::from(error).into()
    }
}

/// Whose fault an error is.
enum Root {
    Statement,
    Rows,
    Resources,
    Lake,
    Defect,
}

fn root_of(error: &DataFusionError) -> Root {
    match error.find_root() {
        DataFusionError::SQL(..)
        | DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Configuration(_) => Root::Statement,
        DataFusionError::Diagnostic(_, inner) | DataFusionError::Context(_, inner) => root_of(inner),
        DataFusionError::Collection(errors) => errors.first().map_or(Root::Statement, root_of),
        DataFusionError::Shared(shared) => root_of(shared),
        DataFusionError::Execution(_) | DataFusionError::ArrowError(..) => Root::Rows,
        DataFusionError::ResourcesExhausted(_) => Root::Resources,
        DataFusionError::IoError(_) => Root::Lake,
        DataFusionError::External(cause)
            if cause.is::<ReadError>() || cause.is::<LakeError>() || cause.is::<iceberg::Error>() =>
        {
            Root::Lake
        }
        DataFusionError::External(_) => Root::Rows,
        _ => Root::Defect,
    }
}

/// The words, without DataFusion's prefixes where they say nothing to whoever wrote the statement.
fn message_of(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let mut rest = text.as_str();
    for prefix in [
        "SQL error: ",
        "Error during planning: ",
        "Schema error: ",
        "Execution error: ",
        "Arrow error: ",
        "External error: ",
        "Resources exhausted: ",
        "This feature is not implemented: ",
    ] {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    match parser_words(rest) {
        Some(words) => words.to_owned(),
        None => rest.to_owned(),
    }
}

/// What stands between the quotes of `ParserError("…")`.
fn parser_words(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("ParserError(\"").or_else(|| text.strip_prefix("TokenizerError(\""))?;
    inner.strip_suffix("\")")
}

fn position_of(error: &DataFusionError) -> Option<Position> {
    if let Some(span) = error.diagnostic().and_then(|diagnostic| diagnostic.span) {
        return Some(Position { line: span.start.line, column: span.start.column });
    }
    position_in(&error.strip_backtrace())
}

/// The place that the parser's message ends with: ` at Line: 2, Column: 7`.
fn position_in(message: &str) -> Option<Position> {
    let (_, from_line) = message.rsplit_once("Line: ")?;
    let (line, rest) = from_line.split_once(", Column: ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some(Position { line: line.parse().ok()?, column: digits.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parsers_place_is_found() {
        let message = "sql parser error: Expected: end of statement, found: FORM at Line: 2, Column: 10";
        assert_eq!(position_in(message), Some(Position { line: 2, column: 10 }));
        assert_eq!(position_in("no place"), None);
    }

    #[test]
    fn kinds_are_told_apart() {
        let code = |error: DataFusionError| QueryError::from(error).code();
        assert_eq!(code(DataFusionError::Plan("x".into())), ErrorCode::BadSql);
        assert_eq!(code(DataFusionError::ResourcesExhausted("x".into())), ErrorCode::Memory);
        assert_eq!(
            code(DataFusionError::ResourcesExhausted("x".into()).context("while sorting")),
            ErrorCode::Memory
        );
        assert_eq!(code(ArrowError::DivideByZero.into()), ErrorCode::Execution);
        let missing = ReadError::NoSnapshot { snapshot_id: 7 };
        assert_eq!(code(DataFusionError::External(Box::new(missing))), ErrorCode::Unavailable);
        assert_eq!(code(DataFusionError::Internal("x".into())), ErrorCode::Internal);
    }
}
