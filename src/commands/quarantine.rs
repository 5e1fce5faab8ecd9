//! `pulselake quarantine`.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::bail;
use pulselake_config::Settings;
use pulselake_lake::{OpenMode, WriterOptions};
use pulselake_model::ErrorCode;
use serde::Serialize;

use super::output::{in_runtime, write_json, write_out};
use crate::cli::{
    OutputFormat, QuarantineCommand, QuarantineListArgs, QuarantineReplayArgs, QuarantineShowArgs,
};
use crate::engine::{decode_settings, open_lake};
use crate::inspect::quarantine::{self, RejectedRecord};
use crate::inspect::replay::{self, ReplayReport, ReplaySettings};

/// Characters of a value that are shown as text.
const SHOWN_CHARS: usize = 16_384;
/// Bytes of a value that are shown as hex.
const SHOWN_BYTES: usize = 4_096;

/// Lists, shows or replays rejected records.
///
/// # Errors
/// When the tables can't be read or written.
pub(crate) fn run(command: &QuarantineCommand) -> anyhow::Result<ExitCode> {
    match command {
        QuarantineCommand::List(args) => list(args),
        QuarantineCommand::Show(args) => show(args),
        QuarantineCommand::Replay(args) => replay(args),
    }
}

fn list(args: &QuarantineListArgs) -> anyhow::Result<ExitCode> {
    #[derive(Serialize)]
    struct Document {
        records: Vec<RejectedRecord>,
    }
    if let Some(code) = &args.code {
        let known = ErrorCode::ALL.map(ErrorCode::as_str);
        if !known.contains(&code.as_str()) {
            bail!("there is no code {code:?}; the codes are {}", known.join(", "));
        }
    }
    let settings = args.inspect.settings()?;
    let records = in_runtime(async {
        let lake = open_lake(&settings, OpenMode::MustExist).await?;
        quarantine::newest(&lake, args.code.as_deref(), args.limit).await
    })?;
    match args.inspect.format {
        OutputFormat::Json => write_json(&Document { records })?,
        OutputFormat::Text => write_out(list_text(&records).as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list_text(records: &[RejectedRecord]) -> String {
    if records.is_empty() {
        return "no rejected records\n".to_owned();
    }
    let width = |text: fn(&RejectedRecord) -> &str| records.iter().map(|record| text(record).len()).max();
    let code_width = width(|record| &record.error_code).unwrap_or(0);
    let id_width = width(|record| &record.invalid_event_id).unwrap_or(0);
    let time_width = width(|record| &record.ingested_at).unwrap_or(0);
    let mut text = String::new();
    for record in records {
        // Writing to a String can't fail.
        let _ = writeln!(
            text,
            "{:<time_width$}  {:<code_width$}  {:<id_width$}  {}",
            record.ingested_at, record.error_code, record.invalid_event_id, record.error_reason
        );
    }
    text
}

/// The bytes of a record in the form that suits them.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct ShownValue {
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

fn show(args: &QuarantineShowArgs) -> anyhow::Result<ExitCode> {
    #[derive(Serialize)]
    struct Document {
        #[serde(flatten)]
        record: RejectedRecord,
        raw_value: ShownValue,
    }
    let settings = args.inspect.settings()?;
    let (record, value) = in_runtime(async {
        let lake = open_lake(&settings, OpenMode::MustExist).await?;
        quarantine::find(&lake, &args.id).await
    })?;
    match args.inspect.format {
        OutputFormat::Json => {
            // Whole: a program can take it.
            let raw_value = match String::from_utf8(value) {
                Ok(text) => ShownValue { bytes: text.len(), text: Some(text), hex: None },
                Err(error) => {
                    let bytes = error.as_bytes();
                    let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                    ShownValue { bytes: bytes.len(), text: None, hex: Some(hex) }
                }
            };
            write_json(&Document { record, raw_value })?;
        }
        OutputFormat::Text => write_out(record_text(&record, &value).as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn record_text(record: &RejectedRecord, value: &[u8]) -> String {
    let none = "-";
    format!(
        "invalid_event_id  {}\nsource_topic      {}\nsource_partition  {}\nsource_offset     {}\nschema_version    {}\n\
         error_code        {}\nerror_reason      {}\ningested_at       {}\nrecord_timestamp  {}\nraw_value         {} bytes{}\n",
        record.invalid_event_id,
        record.source_topic,
        record.source_partition,
        record.source_offset,
        record.schema_version.as_deref().unwrap_or(none),
        record.error_code,
        record.error_reason,
        record.ingested_at,
        record.record_timestamp.as_deref().unwrap_or(none),
        value.len(),
        value_text(value)
    )
}

/// A value for a terminal: text with its control characters escaped, or a hex dump; cut when it is long.
fn value_text(value: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(value) else { return hex_text(value) };
    let mut shown = String::from(", UTF-8\n");
    let mut chars = text.chars();
    for char in chars.by_ref().take(SHOWN_CHARS) {
        if char.is_control() && char != '\n' && char != '\t' {
            shown.extend(char.escape_unicode());
        } else {
            shown.push(char);
        }
    }
    let left = chars.as_str().len();
    if left > 0 {
        shown.push_str(&format!("\n… {left} more bytes; --format json has them all"));
    }
    shown
}

fn hex_text(value: &[u8]) -> String {
    let mut shown = String::from(", not UTF-8");
    for (line, bytes) in value[..value.len().min(SHOWN_BYTES)].chunks(16).enumerate() {
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let is_printable = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        let text: String =
            bytes.iter().map(|&byte| if is_printable(byte) { char::from(byte) } else { '.' }).collect();
        // Writing to a String can't fail.
        let _ = write!(shown, "\n{:08x}  {:<47}  {text}", line * 16, hex.join(" "));
    }
    let left = value.len().saturating_sub(SHOWN_BYTES);
    if left > 0 {
        let _ = write!(shown, "\n… {left} more bytes; --format json has them all");
    }
    shown
}

fn replay(args: &QuarantineReplayArgs) -> anyhow::Result<ExitCode> {
    let settings = args.inspect.settings()?;
    let report = in_runtime(async {
        let lake = open_lake(&settings, OpenMode::MustExist).await?;
        replay::replay(&lake, &replay_settings(&settings), args.dry_run).await
    })?;
    match args.inspect.format {
        OutputFormat::Json => write_json(&report)?,
        OutputFormat::Text => write_out(replay_text(&report).as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What a replay needs to know out of the settings: the same as the engine.
fn replay_settings(settings: &Settings) -> ReplaySettings {
    let horizon_us = settings.windows.dedup_horizon_ms.saturating_mul(1_000);
    ReplaySettings {
        decode: decode_settings(settings),
        dedup_horizon_us: i64::try_from(horizon_us).unwrap_or(i64::MAX),
        writer: WriterOptions {
            zstd_level: settings.bronze.zstd_level,
            row_group_rows: settings.bronze.row_group_rows,
            ..WriterOptions::default()
        },
    }
}

fn replay_text(report: &ReplayReport) -> String {
    let by_code = |counts: &std::collections::BTreeMap<String, u64>| {
        let parts: Vec<String> = counts.iter().map(|(code, count)| format!("{code} {count}")).collect();
        if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
    };
    let (taken, rejected) = (report.taken_records(), report.still_rejected.values().sum::<u64>());
    let verb = if report.dry_run { "would be taken into bronze" } else { "taken into bronze" };
    let mut text = format!(
        "{}: {} rejected records\n  {:>9}  {verb}{}\n  {:>9}  still rejected{}\n  {:>9}  taken in before\n",
        report.topic,
        report.in_quarantine,
        taken,
        by_code(&report.taken),
        rejected,
        by_code(&report.still_rejected),
        report.taken_before
    );
    if report.in_quarantine == 0 {
        text.push_str("  another topic? It is source.topic of the settings; pulselake quarantine list shows those that there are\n");
    }
    // Writing to a String can't fail.
    if report.ahead_of_bronze > 0 {
        let _ =
            writeln!(text, "  {:>9}  not passed by bronze yet: run the engine first", report.ahead_of_bronze);
    }
    let Some(gold) = &report.gold else { return text };
    let left_over = match gold.left_over {
        0 => String::new(),
        count => format!(", {count} of them left over by an earlier replay"),
    };
    let _ = match report.dry_run {
        true => writeln!(text, "  {:>9}  would go on to gold{left_over}", gold.records),
        false => writeln!(
            text,
            "  {:>9}  taken into gold{left_over}: {} duplicates, {} rows of revision {}",
            gold.records, gold.duplicates, gold.rows, gold.revision
        ),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_shown_as_text_without_what_moves_the_cursor() {
        assert_eq!(value_text("{\"a\":\"é\u{1b}[2J\"}\n".as_bytes()), ", UTF-8\n{\"a\":\"é\\u{1b}[2J\"}\n");
        let long = "é".repeat(SHOWN_CHARS + 3);
        assert!(value_text(long.as_bytes()).ends_with("… 6 more bytes; --format json has them all"));
    }

    #[test]
    fn bytes_are_shown_as_hex() {
        let shown = value_text(b"ab\xff 0123456789abcd");
        assert_eq!(
            shown,
            ", not UTF-8\n00000000  61 62 ff 20 30 31 32 33 34 35 36 37 38 39 61 62  ab. 0123456789ab\n00000010  63 64                                            cd"
        );
        assert!(value_text(&[0xff; SHOWN_BYTES + 1]).contains("… 1 more bytes"));
    }

    #[test]
    fn a_replay_is_told_in_words() {
        let mut report = ReplayReport { topic: "t".into(), in_quarantine: 9, ..ReplayReport::default() };
        report.taken.insert("TOO_LARGE".into(), 4);
        report.still_rejected.insert("NOT_UTF8".into(), 5);
        let text = replay_text(&report);
        assert!(text.contains("4  taken into bronze (TOO_LARGE 4)"), "{text}");
        assert!(
            text.contains("5  still rejected (NOT_UTF8 5)") && !text.contains("another topic?"),
            "{text}"
        );
        let nothing = ReplayReport { topic: "t".into(), ..ReplayReport::default() };
        assert!(replay_text(&nothing).contains("source.topic"));
        report.dry_run = true;
        assert!(replay_text(&report).contains("would be taken into bronze"));
    }
}
