//! A column of silver that a payload field has got: what `silver.payload_fields` says of it, for silver's SQL.

use serde::Serialize;

/// The type of a payload field's column. What each takes: see [`drift::value`](super::drift::value).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PayloadType {
    /// Whole numbers of 64 bits.
    Long,
    /// Numbers.
    Double,
    /// True and false.
    Boolean,
    /// Texts as they are; everything else as JSON text.
    String,
}

impl PayloadType {
    /// Every type.
    pub const ALL: [Self; 4] = [Self::Long, Self::Double, Self::Boolean, Self::String];

    /// Its name in `silver.payload_fields`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Long => "long",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::String => "string",
        }
    }

    /// The type of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct PayloadColumn {
    /// The key in the payload.
    pub field: String,
    /// Its column.
    pub column_name: String,
    /// The type of it.
    #[serde(rename = "type")]
    pub column_type: PayloadType,
    /// The string column for values that don't fit; `None` where there were none yet.
    pub conflict_column: Option<String>,
    /// Whether the column is one of those that silver always has: then the conflict column alone is the registry's, and
    /// what fits is for [`KnownField`](super::drift::KnownField) to say.
    pub is_known: bool,
}
