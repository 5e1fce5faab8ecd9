//! Changes that must end in quarantine: what is wrong with them, and the code that they must get.

use pulselake_model::ErrorCode;

/// One way in which a change is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum MalformedChange {
    /// A good change cut off in the middle.
    Truncated,
    /// No JSON at all.
    PlainText,
    /// A good change with a byte in a string that is never part of UTF-8.
    NotUtf8,
    /// The row has no key.
    NoKey,
    /// An update without `after`.
    NoRow,
    /// The key is an array.
    ArrayKey,
    /// A column of the contract has a value of another type (`duration_ms`, `is_creator`).
    WrongColumnType,
    /// `op` is none of Debezium's.
    UnknownOperation,
    /// The row's timestamp is a word.
    BadTimestamp,
}

impl MalformedChange {
    /// Every kind.
    pub const ALL: [MalformedChange; 9] = [
        Self::Truncated,
        Self::PlainText,
        Self::NotUtf8,
        Self::NoKey,
        Self::NoRow,
        Self::ArrayKey,
        Self::WrongColumnType,
        Self::UnknownOperation,
        Self::BadTimestamp,
    ];

    /// The code that the decoder must give it.
    pub fn error_code(self) -> ErrorCode {
        match self {
            Self::Truncated | Self::PlainText => ErrorCode::MalformedJson,
            Self::NotUtf8 => ErrorCode::NotUtf8,
            Self::NoKey | Self::NoRow => ErrorCode::MissingField,
            Self::ArrayKey | Self::WrongColumnType => ErrorCode::WrongType,
            Self::UnknownOperation => ErrorCode::UnknownOperation,
            Self::BadTimestamp => ErrorCode::BadTimestamp,
        }
    }
}
