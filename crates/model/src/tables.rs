//! Names and partitioning of the hot tables.

/// The catalog's name: what PyIceberg's `SqlCatalog("pulselake", …)` is opened with.
pub const CATALOG_NAME: &str = "pulselake";

/// A table of the hot path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HotTable {
    /// `bronze.invalid_events_content`: one row per rejected record. First, because it commits first.
    InvalidEventsContent,
    /// `bronze.raw_events`: one row per record that parses.
    RawEvents,
    /// `gold.rt_video_stats_1min`: additive deltas per video and minute.
    VideoStats1Min,
}

impl HotTable {
    /// Every hot table, in the order in which one flush commits them.
    pub const ALL: [HotTable; 3] = [Self::InvalidEventsContent, Self::RawEvents, Self::VideoStats1Min];

    /// Iceberg namespace.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::InvalidEventsContent | Self::RawEvents => "bronze",
            Self::VideoStats1Min => "gold",
        }
    }

    /// Table name inside the namespace.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidEventsContent => "invalid_events_content",
            Self::RawEvents => "raw_events",
            Self::VideoStats1Min => "rt_video_stats_1min",
        }
    }

    /// `namespace.name`, as people write it and as metrics label it.
    pub fn full_name(self) -> &'static str {
        match self {
            Self::InvalidEventsContent => "bronze.invalid_events_content",
            Self::RawEvents => "bronze.raw_events",
            Self::VideoStats1Min => "gold.rt_video_stats_1min",
        }
    }
}
