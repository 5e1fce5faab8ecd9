//! The kinds of user interaction.

/// `event_type` of a content event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum EventType {
    /// The video was shown.
    Impression = 0,
    /// Playback began.
    PlayStart = 1,
    /// Playback reached the end.
    PlayFinish = 2,
    /// The viewer liked it.
    Like = 3,
    /// The viewer shared it.
    Share = 4,
    /// The viewer went on before the end.
    Skip = 5,
}

impl EventType {
    /// How many kinds there are.
    pub const COUNT: usize = 6;
    /// Every kind, in the order of their numbers.
    pub const ALL: [EventType; Self::COUNT] =
        [Self::Impression, Self::PlayStart, Self::PlayFinish, Self::Like, Self::Share, Self::Skip];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Impression => "impression",
            Self::PlayStart => "play_start",
            Self::PlayFinish => "play_finish",
            Self::Like => "like",
            Self::Share => "share",
            Self::Skip => "skip",
        }
    }

    /// The kind with this wire name; `None` for a name that is not in the contract.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}
