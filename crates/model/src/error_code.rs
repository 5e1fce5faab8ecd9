//! Why a record goes to quarantine.

/// `error_code` of a quarantined record. The codes are part of the tables' contract: add, never rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ErrorCode {
    /// Not one JSON object and nothing after it.
    MalformedJson = 0,
    /// The bytes are not UTF-8.
    NotUtf8 = 1,
    /// A required field is absent, null or empty.
    MissingField = 2,
    /// A field has another JSON type than the contract says.
    WrongType = 3,
    /// `event_type` is not one of the six.
    UnknownEventType = 4,
    /// `event_timestamp` is neither RFC 3339 nor epoch milliseconds, or outside what a table can hold.
    BadTimestamp = 5,
    /// `event_timestamp` is too far ahead of the record's own timestamp.
    FutureTimestamp = 6,
    /// The value is longer than the limit.
    TooLarge = 7,
    /// `schema_version` is of a major version that this decoder does not know.
    UnsupportedSchemaVersion = 8,
    /// A change whose `op` is not c, u, d or r.
    UnknownOperation = 9,
    /// A column of the source has another type than the table's, and the table's can't be widened to it.
    TypeChanged = 10,
    /// A change brings more columns than a table may have.
    TooManyColumns = 11,
    /// A change names a schema of a registry that is not known: no registry is set, it has no such schema, or not one of Avro.
    UnknownSchema = 12,
    /// A change is not what the Avro schema says that it names.
    MalformedAvro = 13,
}

impl ErrorCode {
    /// How many codes there are.
    pub const COUNT: usize = 14;
    /// The codes of events; the others are those of changes.
    pub const OF_EVENTS: [ErrorCode; 9] = [
        Self::MalformedJson,
        Self::NotUtf8,
        Self::MissingField,
        Self::WrongType,
        Self::UnknownEventType,
        Self::BadTimestamp,
        Self::FutureTimestamp,
        Self::TooLarge,
        Self::UnsupportedSchemaVersion,
    ];
    /// Every code, in the order of their numbers.
    pub const ALL: [ErrorCode; Self::COUNT] = [
        Self::MalformedJson,
        Self::NotUtf8,
        Self::MissingField,
        Self::WrongType,
        Self::UnknownEventType,
        Self::BadTimestamp,
        Self::FutureTimestamp,
        Self::TooLarge,
        Self::UnsupportedSchemaVersion,
        Self::UnknownOperation,
        Self::TypeChanged,
        Self::TooManyColumns,
        Self::UnknownSchema,
        Self::MalformedAvro,
    ];

    /// The code as the quarantine table and the metrics' label show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MalformedJson => "MALFORMED_JSON",
            Self::NotUtf8 => "NOT_UTF8",
            Self::MissingField => "MISSING_FIELD",
            Self::WrongType => "WRONG_TYPE",
            Self::UnknownEventType => "UNKNOWN_EVENT_TYPE",
            Self::BadTimestamp => "BAD_TIMESTAMP",
            Self::FutureTimestamp => "FUTURE_TIMESTAMP",
            Self::TooLarge => "TOO_LARGE",
            Self::UnsupportedSchemaVersion => "UNSUPPORTED_SCHEMA_VERSION",
            Self::UnknownOperation => "UNKNOWN_OPERATION",
            Self::TypeChanged => "TYPE_CHANGED",
            Self::TooManyColumns => "TOO_MANY_COLUMNS",
            Self::UnknownSchema => "UNKNOWN_SCHEMA",
            Self::MalformedAvro => "MALFORMED_AVRO",
        }
    }
}
