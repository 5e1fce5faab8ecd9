//! The database's own order of changes, out of Debezium's `source`.
//!
//! | connector | position | minor |
//! |---|---|---|
//! | postgresql | end of the last commit, the first part of `sequence`; without it (snapshots, the first commit after one) `lsn` | `lsn`; 0 where there was no first part |
//! | postgresql, incremental snapshot (`lsn` null) | last part of `sequence`: where the log stood | 0 |
//! | mysql, mariadb | number of `file` << 32 \| `pos` | `row` |
//! | sqlserver | `change_lsn` a:b:c (hexadecimal) as a << 32 \| b | c << 16 \| `event_serial_no` |
//! | oracle | `scn` | `ssn` |
//!
//! PostgreSQL's `lsn` alone is the place where a row was written, not where its transaction committed: one that was open while
//! a snapshot was taken has a smaller one than the snapshot's rows, and is newer.
//!
//! A connector that is not named here, a part that is null or not as it should be, and anything negative or beyond 63
//! bits: no position.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The fields of `source` that say something about order.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Source<'a> {
    #[serde(borrow)]
    connector: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) ts_ms: Option<&'a RawValue>,
    #[serde(borrow)]
    lsn: Option<&'a RawValue>,
    #[serde(borrow)]
    sequence: Option<&'a RawValue>,
    #[serde(borrow)]
    file: Option<&'a RawValue>,
    #[serde(borrow)]
    pos: Option<&'a RawValue>,
    #[serde(borrow)]
    row: Option<&'a RawValue>,
    #[serde(borrow)]
    change_lsn: Option<&'a RawValue>,
    #[serde(borrow)]
    event_serial_no: Option<&'a RawValue>,
    #[serde(borrow)]
    scn: Option<&'a RawValue>,
    #[serde(borrow)]
    ssn: Option<&'a RawValue>,
}

impl Source<'_> {
    /// Position and minor position.
    pub(crate) fn position(&self) -> Option<(i64, i64)> {
        match text(self.connector)?.as_ref() {
            "postgresql" => self.postgresql(),
            "mysql" | "mariadb" => {
                let (file, pos) = (file_number(&text(self.file)?)?, number(self.pos)?);
                Some((joined(file, 32, pos)?, number(self.row).unwrap_or(0)))
            }
            "sqlserver" => {
                let lsn = text(self.change_lsn)?;
                let mut parts = lsn.split(':').map(|part| i64::from_str_radix(part, 16).ok());
                let (a, b, c) = (parts.next()??, parts.next()??, parts.next()??);
                if parts.next().is_some() {
                    return None;
                }
                let serial = number(self.event_serial_no).unwrap_or(0);
                Some((joined(a, 32, b)?, joined(c, 16, serial)?))
            }
            "oracle" => Some((number(self.scn)?, number(self.ssn).unwrap_or(0))),
            _ => None,
        }
    }

    fn postgresql(&self) -> Option<(i64, i64)> {
        let sequence = numbers(self.sequence);
        let part = |at: Option<&Option<i64>>| at.copied().flatten();
        let (last_commit, stood_at) = (part(sequence.first()), part(sequence.last()));
        match (number(self.lsn), last_commit) {
            (Some(lsn), Some(last_commit)) => Some((last_commit, lsn)),
            (Some(lsn), None) => Some((lsn, 0)),
            (None, _) => Some((stood_at?, 0)),
        }
    }
}

fn text(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let raw = raw?.get();
    let plain = raw.strip_prefix('"')?.strip_suffix('"')?;
    if plain.contains('\\') {
        serde_json::from_str(raw).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(plain))
    }
}

/// A number that is not negative; some connectors write theirs as a string.
fn number(raw: Option<&RawValue>) -> Option<i64> {
    let digits = raw?.get().trim_matches('"');
    digits.parse().ok().filter(|number| *number >= 0)
}

/// The numbers of `"[\"22838328\",\"22838329\"]"`, each of which may be null.
fn numbers(raw: Option<&RawValue>) -> Vec<Option<i64>> {
    let parts: Option<Vec<Option<String>>> = text(raw).and_then(|list| serde_json::from_str(&list).ok());
    let number = |part: Option<String>| part?.parse().ok().filter(|number| *number >= 0);
    parts.unwrap_or_default().into_iter().map(number).collect()
}

/// The digits behind the last dot: `mysql-bin.000042` is file 42.
fn file_number(file: &str) -> Option<i64> {
    file.rsplit_once('.')?.1.parse().ok().filter(|number| *number >= 0)
}

/// `high << bits | low`, where both fit.
fn joined(high: i64, bits: u32, low: i64) -> Option<i64> {
    let fits = (0..1 << (63 - bits)).contains(&high) && (0..1 << bits).contains(&low);
    fits.then_some(high << bits | low)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(source: &str) -> Option<(i64, i64)> {
        serde_json::from_str::<Source<'_>>(source).unwrap().position()
    }

    #[test]
    fn every_connector_has_its_own() {
        let cases = [
            (r#"{"connector":"postgresql","lsn":24023128,"txId":5}"#, Some((24_023_128, 0))),
            (
                r#"{"connector":"postgresql","lsn":null,"sequence":"[\"22838328\",\"22838329\"]"}"#,
                Some((22_838_329, 0)),
            ),
            (r#"{"connector":"postgresql","lsn":7,"sequence":"[null,\"22838329\"]"}"#, Some((7, 0))),
            (r#"{"connector":"postgresql","lsn":null,"sequence":"[\"1\",null]"}"#, None),
            (
                r#"{"connector":"mysql","file":"mysql-bin.000003","pos":484,"row":2}"#,
                Some((3 << 32 | 484, 2)),
            ),
            (r#"{"connector":"mariadb","file":"mariadb-bin.000001","pos":7}"#, Some((1 << 32 | 7, 0))),
            (
                r#"{"connector":"sqlserver","change_lsn":"00000027:00000ac0:0002","event_serial_no":1}"#,
                Some((0x27 << 32 | 0xac0, 2 << 16 | 1)),
            ),
            (r#"{"connector":"oracle","scn":"1234567","ssn":3}"#, Some((1_234_567, 3))),
            (r#"{"connector":"oracle","scn":1234567}"#, Some((1_234_567, 0))),
        ];
        for (source, expected) in cases {
            assert_eq!(position(source), expected, "{source}");
        }
    }

    #[test]
    fn what_is_not_as_it_should_be_has_none() {
        let cases = [
            "{}",
            r#"{"lsn":1}"#,
            r#"{"connector":"mongodb","lsn":1}"#,
            r#"{"connector":"postgresql","lsn":null}"#,
            r#"{"connector":"postgresql","lsn":-1}"#,
            r#"{"connector":"postgresql","lsn":99999999999999999999}"#,
            r#"{"connector":"postgresql","lsn":{"a":1}}"#,
            r#"{"connector":"mysql","file":"","pos":0}"#,
            r#"{"connector":"mysql","file":"mysql-bin.000003","pos":4294967296}"#,
            r#"{"connector":"sqlserver","change_lsn":null,"event_serial_no":1}"#,
            r#"{"connector":"sqlserver","change_lsn":"1:2"}"#,
            r#"{"connector":"sqlserver","change_lsn":"ffffffff:2:3"}"#,
            r#"{"connector":"sqlserver","change_lsn":"1:2:3:4"}"#,
            r#"{"connector":1}"#,
        ];
        for source in cases {
            assert_eq!(position(source), None, "{source}");
        }
    }
}
