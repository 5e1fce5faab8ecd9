//! What every run of every shard is made from: settings, source, tables and what is shared.

use std::sync::Arc;

use pulselake_decode::DecodeSettings;
use pulselake_lake::{Lake, WriterOptions};
use pulselake_source::Source;
use pulselake_window::WindowSettings;

use crate::board::LiveBoard;
use crate::settings::PipelineSettings;
use crate::status::EngineStatus;

/// The parts of a pipeline, all cheap to clone.
#[derive(Clone)]
pub struct Pipeline {
    /// Numbers.
    pub settings: PipelineSettings,
    /// Where records come from.
    pub source: Arc<dyn Source>,
    /// Where tables are.
    pub lake: Lake,
    /// What is valid.
    pub decode: DecodeSettings,
    /// Event time.
    pub windows: WindowSettings,
    /// Parquet.
    pub writer_options: WriterOptions,
    /// Shared status.
    pub status: EngineStatus,
    /// Shared live board.
    pub board: LiveBoard,
}
