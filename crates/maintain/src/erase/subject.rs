//! Whose rows are to be erased.

use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

/// A user or a video.
#[derive(Clone, PartialEq, Eq)]
pub enum Subject {
    /// By `user_id`.
    User(String),
    /// By `video_id`.
    Video(String),
}

impl Subject {
    /// The column that holds the id, in every table that has it.
    pub fn column(&self) -> &'static str {
        match self {
            Self::User(_) => "user_id",
            Self::Video(_) => "video_id",
        }
    }

    /// `user` or `video`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Video(_) => "video",
        }
    }

    /// The id.
    pub fn id(&self) -> &str {
        match self {
            Self::User(id) | Self::Video(id) => id,
        }
    }

    /// 32 hexadecimal digits that stand for the id where it must not be written: who knows an id can look for it, a
    /// record by itself names nobody. It keeps no secret from who can try all ids.
    pub fn hash(&self) -> String {
        format!("{:032x}", xxh3_128(format!("{}:{}", self.kind(), self.id()).as_bytes()))
    }
}

/// Logs must not say the id.
impl fmt::Debug for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind(), self.hash())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_hash_nor_debug_names_the_id() {
        let user = Subject::User("u_8812".to_string());
        assert!(!format!("{user:?}").contains("8812") && !user.hash().contains("u_8812"));
        assert_eq!(user.hash().len(), 32);
        assert_ne!(user.hash(), Subject::Video("u_8812".to_string()).hash());
    }
}
