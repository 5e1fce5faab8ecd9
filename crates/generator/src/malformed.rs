//! Records that must end in quarantine: what is wrong with them, and the code that they must get.

use pulselake_model::ErrorCode;

/// One way in which a record is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum MalformedKind {
    /// A good event cut off in the middle.
    Truncated,
    /// A good event with more text after it.
    TrailingText,
    /// No JSON at all.
    PlainText,
    /// An array that holds a good event.
    NotAnObject,
    /// A good event with a byte in a string that is never part of UTF-8.
    NotUtf8,
    /// No `event_id`.
    NoEventId,
    /// `video_id` is null.
    NullVideoId,
    /// `user_id` is the empty string.
    EmptyUserId,
    /// No `event_type`.
    NoEventType,
    /// `video_id` is an array.
    ArrayVideoId,
    /// `event_type` is an object.
    ObjectEventType,
    /// An `event_type` that is not one of the six.
    UnknownEventType,
    /// `event_timestamp` is a word.
    BadTimestamp,
    /// The 31st of February.
    ImpossibleDate,
    /// The client's clock is two hours fast.
    FutureTimestamp,
    /// `schema_version` 9.0.
    UnsupportedSchemaVersion,
    /// `user_id` is a number.
    NumberUserId,
    /// `event_timestamp` is true.
    BooleanTimestamp,
    /// `payload` is a text.
    TextPayload,
    /// `event_timestamp` is a number of 30 digits.
    HugeTimestamp,
    /// An `event_type` of 16 KiB.
    HugeEventType,
    /// A body of 600 levels, deeper than any decoder's limit can be set.
    DeepPayload,
    /// A good event whose client's clock is hours fast: of a funnel all of whose events are so.
    ClockAhead,
}

impl MalformedKind {
    /// Every kind.
    pub const ALL: [MalformedKind; 23] = {
        let mut all = [Self::ClockAhead; 23];
        let mut index = 0;
        while index < Self::SINGLE.len() {
            all[index] = Self::SINGLE[index];
            index += 1;
        }
        all
    };

    /// The kinds of records that stand alone, each as likely as the others. The remaining one is what a wrong clock
    /// makes of a whole funnel.
    pub const SINGLE: [MalformedKind; 22] = [
        Self::Truncated,
        Self::TrailingText,
        Self::PlainText,
        Self::NotAnObject,
        Self::NotUtf8,
        Self::NoEventId,
        Self::NullVideoId,
        Self::EmptyUserId,
        Self::NoEventType,
        Self::ArrayVideoId,
        Self::ObjectEventType,
        Self::UnknownEventType,
        Self::BadTimestamp,
        Self::ImpossibleDate,
        Self::FutureTimestamp,
        Self::UnsupportedSchemaVersion,
        Self::NumberUserId,
        Self::BooleanTimestamp,
        Self::TextPayload,
        Self::HugeTimestamp,
        Self::HugeEventType,
        Self::DeepPayload,
    ];

    /// The code that the decoder must give it.
    pub fn error_code(self) -> ErrorCode {
        match self {
            Self::Truncated
            | Self::TrailingText
            | Self::PlainText
            | Self::NotAnObject
            | Self::DeepPayload => ErrorCode::MalformedJson,
            Self::NotUtf8 => ErrorCode::NotUtf8,
            Self::NoEventId | Self::NullVideoId | Self::EmptyUserId | Self::NoEventType => {
                ErrorCode::MissingField
            }
            Self::ArrayVideoId
            | Self::ObjectEventType
            | Self::NumberUserId
            | Self::BooleanTimestamp
            | Self::TextPayload => ErrorCode::WrongType,
            Self::UnknownEventType | Self::HugeEventType => ErrorCode::UnknownEventType,
            Self::BadTimestamp | Self::ImpossibleDate | Self::HugeTimestamp => ErrorCode::BadTimestamp,
            Self::FutureTimestamp | Self::ClockAhead => ErrorCode::FutureTimestamp,
            Self::UnsupportedSchemaVersion => ErrorCode::UnsupportedSchemaVersion,
        }
    }
}
