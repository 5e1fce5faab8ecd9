//! What the operational database keeps and the dimensions follow.

/// A kind of thing with a dimension of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Entity {
    /// Videos, by `video_id`.
    Videos,
    /// Users, by `user_id`.
    Users,
}

impl Entity {
    /// Every entity.
    pub const ALL: [Entity; 2] = [Self::Videos, Self::Users];

    /// Its name in settings, labels and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Videos => "videos",
            Self::Users => "users",
        }
    }

    /// The column that identifies a row, in the source's table and in the dimension.
    pub fn key_column(self) -> &'static str {
        match self {
            Self::Videos => "video_id",
            Self::Users => "user_id",
        }
    }

    /// The topic of its changes, where no other is named.
    pub fn default_topic(self) -> &'static str {
        match self {
            Self::Videos => "cdc.content.videos",
            Self::Users => "cdc.users.profiles",
        }
    }
}
