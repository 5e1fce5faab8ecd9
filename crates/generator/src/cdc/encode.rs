//! Writes the bytes of planned changes: envelopes as Debezium's connector for PostgreSQL writes them.

use pulselake_model::Entity;

use super::malformed::MalformedChange;
use super::plan::{CdcRecordKind, PlannedChange};
use super::rows::{CdcRow, ChangeOperation, UserRow, VideoRow};
use super::world::CdcWorld;
use crate::mix::mix64;
use crate::timestamp::TimestampWriter;

/// Writes the records of one entity.
pub(crate) struct ChangeEncoder {
    timestamps: TimestampWriter,
    digits: itoa::Buffer,
    /// `{"schema":…,"payload":`
    schema: Vec<u8>,
}

impl ChangeEncoder {
    pub(crate) fn new(entity: Entity) -> Self {
        let schema = format!(r#"{{"schema":{},"payload":"#, envelope_schema(entity)).into_bytes();
        Self { timestamps: TimestampWriter::default(), digits: itoa::Buffer::new(), schema }
    }

    /// Appends the value of a record: nothing for a tombstone.
    pub(crate) fn write(&mut self, world: &CdcWorld, change: &PlannedChange, out: &mut Vec<u8>) {
        match change.kind {
            CdcRecordKind::Tombstone => {}
            CdcRecordKind::Malformed(kind) => self.write_malformed(world, change, kind, out),
            CdcRecordKind::Version(operation) | CdcRecordKind::Repeat(operation) => {
                let is_wrapped = world.is_wrapped(change.moment, change.key);
                if is_wrapped {
                    out.extend_from_slice(&self.schema);
                }
                self.write_envelope(world, change, operation, out);
                if is_wrapped {
                    out.push(b'}');
                }
            }
        }
    }

    fn write_envelope(
        &mut self,
        world: &CdcWorld,
        change: &PlannedChange,
        operation: ChangeOperation,
        out: &mut Vec<u8>,
    ) {
        let created_ms = world.created_ms(change.key);
        let has_before = matches!(operation, ChangeOperation::Update | ChangeOperation::Delete);
        let before = has_before.then(|| world.rows.row(change.key, change.version - 1, created_ms));
        let has_after = operation != ChangeOperation::Delete;
        let after = has_after.then(|| world.rows.row(change.key, change.version, created_ms));

        out.extend_from_slice(br#"{"before":"#);
        self.write_row(before.as_ref(), out);
        out.extend_from_slice(br#","after":"#);
        self.write_row(after.as_ref(), out);
        out.extend_from_slice(
            br#","source":{"version":"3.0.8.Final","connector":"postgresql","name":"cdc","ts_ms":"#,
        );
        self.write_number(world.source_ts_ms(change.moment, change.key), out);
        let is_snapshot = operation == ChangeOperation::Snapshot;
        let (schema, table) = table_of(world.config().entity);
        let place = format!(
            r#","snapshot":"{is_snapshot}","db":"app","sequence":null,"schema":"{schema}","table":"{table}","txId":{},"lsn":{},"xmin":null}}"#,
            world.transaction(change.moment, change.key),
            world.position(change.moment, change.key),
        );
        out.extend_from_slice(place.as_bytes());
        out.extend_from_slice(br#","op":""#);
        out.extend_from_slice(operation.as_str().as_bytes());
        out.extend_from_slice(br#"","ts_ms":"#);
        self.write_number(world.read_at_ms(change), out);
        out.push(b'}');
    }

    fn write_row(&mut self, row: Option<&CdcRow>, out: &mut Vec<u8>) {
        match row {
            None => out.extend_from_slice(b"null"),
            Some(CdcRow::Video(video)) => self.write_video(video, out),
            Some(CdcRow::User(user)) => self.write_user(user, out),
        }
    }

    fn write_video(&mut self, row: &VideoRow, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"video_id":"v_"#);
        self.write_number(row.video, out);
        out.extend_from_slice(br#"","creator_id":"u_"#);
        self.write_number(row.creator, out);
        // None of the texts has a character that JSON wants escaped.
        for text in [r#"","category":""#, row.category, r#"","region":""#, row.region, r#"","hashtags":["#] {
            out.extend_from_slice(text.as_bytes());
        }
        for (place, hashtag) in row.hashtags.iter().enumerate() {
            out.extend_from_slice(if place == 0 { b"\"" } else { b",\"" });
            out.extend_from_slice(hashtag.as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(br#"],"duration_ms":"#);
        self.write_number(row.duration_ms, out);
        out.extend_from_slice(br#","upload_time":""#);
        self.timestamps.write(out, row.upload_time_ms);
        for text in [r#"","status":""#, row.status, r#""}"#] {
            out.extend_from_slice(text.as_bytes());
        }
    }

    fn write_user(&mut self, row: &UserRow, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"user_id":"u_"#);
        self.write_number(row.user, out);
        let is_creator = if row.is_creator { "true" } else { "false" };
        for text in [
            r#"","register_country":""#,
            row.register_country,
            r#"","device_os":""#,
            row.device_os,
            r#"","is_creator":"#,
            is_creator,
            r#","ltv_segment":""#,
            row.ltv_segment,
            r#"","join_at":""#,
        ] {
            out.extend_from_slice(text.as_bytes());
        }
        self.timestamps.write(out, row.join_at_ms);
        out.extend_from_slice(br#""}"#);
    }

    fn write_number(&mut self, number: impl itoa::Integer, out: &mut Vec<u8>) {
        out.extend_from_slice(self.digits.format(number).as_bytes());
    }

    /// Rare, so made of a good change's text with the broken part put in.
    fn write_malformed(
        &mut self,
        world: &CdcWorld,
        change: &PlannedChange,
        kind: MalformedChange,
        out: &mut Vec<u8>,
    ) {
        let mut bytes = Vec::new();
        self.write_envelope(world, change, ChangeOperation::Snapshot, &mut bytes);
        let good = String::from_utf8_lossy(&bytes).into_owned();
        let entity = world.config().entity;
        let key_column = entity.key_column();
        let key = format!(r#""{key_column}":"{}""#, world.key_text(change.key));
        let broken = match kind {
            MalformedChange::Truncated => {
                // Anywhere behind the first byte and before the last, but not inside a character: never a whole object,
                // and always UTF-8.
                let most = (good.len() - 1) as u64;
                let wanted = 1 + (mix64(change.key ^ change.version) % most) as usize;
                let end = (1..=wanted).rev().find(|end| good.is_char_boundary(*end)).unwrap_or(1);
                out.extend_from_slice(&bytes[..end]);
                return;
            }
            MalformedChange::NotUtf8 => {
                let column = match entity {
                    Entity::Videos => r#""region":""#,
                    Entity::Users => r#""register_country":""#,
                };
                // The text's first character: never part of UTF-8.
                if let Some(place) = good.find(column) {
                    bytes[place + column.len()] = 0xFF;
                }
                out.extend_from_slice(&bytes);
                return;
            }
            MalformedChange::PlainText => "connection to the replication slot was lost".to_owned(),
            MalformedChange::NoKey => good.replacen(&format!("{key},"), "", 1),
            MalformedChange::NoRow => {
                let row_end = good.find(r#","source":"#).unwrap_or(good.len());
                let update = good[row_end..].replacen(r#""op":"r""#, r#""op":"u""#, 1);
                format!(r#"{{"before":null,"after":null{update}"#)
            }
            MalformedChange::ArrayKey => {
                let value = world.key_text(change.key);
                good.replacen(&key, &format!(r#""{key_column}":["{value}"]"#), 1)
            }
            MalformedChange::WrongColumnType => match entity {
                Entity::Videos => good.replacen(r#""duration_ms":"#, r#""duration_ms":{},"was":"#, 1),
                Entity::Users => good.replacen(r#""is_creator":"#, r#""is_creator":"often","was":"#, 1),
            },
            MalformedChange::UnknownOperation => good.replacen(r#""op":"r""#, r#""op":"z""#, 1),
            MalformedChange::BadTimestamp => {
                let column = match entity {
                    Entity::Videos => "upload_time",
                    Entity::Users => "join_at",
                };
                good.replacen(&format!(r#""{column}":""#), &format!(r#""{column}":"yesterday "#), 1)
            }
        };
        out.extend_from_slice(broken.as_bytes());
    }
}

/// The source's schema and table.
fn table_of(entity: Entity) -> (&'static str, &'static str) {
    match entity {
        Entity::Videos => ("content", "videos"),
        Entity::Users => ("users", "profiles"),
    }
}

/// Kafka Connect's description of the envelope.
fn envelope_schema(entity: Entity) -> String {
    let text = |column: &str| format!(r#"{{"type":"string","optional":true,"field":"{column}"}}"#);
    let timestamp = |column: &str| {
        format!(
            r#"{{"type":"string","optional":true,"name":"io.debezium.time.ZonedTimestamp","version":1,"field":"{column}"}}"#
        )
    };
    let key = format!(r#"{{"type":"string","optional":false,"field":"{}"}}"#, entity.key_column());
    let columns = match entity {
        Entity::Videos => [
            key,
            text("creator_id"),
            text("category"),
            text("region"),
            r#"{"type":"array","items":{"type":"string","optional":true},"optional":true,"field":"hashtags"}"#
                .to_owned(),
            r#"{"type":"int32","optional":true,"field":"duration_ms"}"#.to_owned(),
            timestamp("upload_time"),
            text("status"),
        ]
        .join(","),
        Entity::Users => [
            key,
            text("register_country"),
            text("device_os"),
            r#"{"type":"boolean","optional":true,"field":"is_creator"}"#.to_owned(),
            text("ltv_segment"),
            timestamp("join_at"),
        ]
        .join(","),
    };
    let (schema, table) = table_of(entity);
    let name = format!("cdc.{schema}.{table}");
    let row = |field: &str| {
        format!(
            r#"{{"type":"struct","fields":[{columns}],"optional":true,"name":"{name}.Value","field":"{field}"}}"#
        )
    };
    let required =
        |kind: &str, field: &str| format!(r#"{{"type":"{kind}","optional":false,"field":"{field}"}}"#);
    let optional =
        |kind: &str, field: &str| format!(r#"{{"type":"{kind}","optional":true,"field":"{field}"}}"#);
    let source = [
        required("string", "version"),
        required("string", "connector"),
        required("string", "name"),
        required("int64", "ts_ms"),
        optional("string", "snapshot"),
        required("string", "db"),
        optional("string", "sequence"),
        required("string", "schema"),
        required("string", "table"),
        optional("int64", "txId"),
        optional("int64", "lsn"),
        optional("int64", "xmin"),
    ]
    .join(",");
    format!(
        r#"{{"type":"struct","fields":[{},{},{{"type":"struct","fields":[{source}],"optional":false,"name":"io.debezium.connector.postgresql.Source","field":"source"}},{},{}],"optional":false,"name":"{name}.Envelope","version":2}}"#,
        row("before"),
        row("after"),
        required("string", "op"),
        optional("int64", "ts_ms"),
    )
}
