//! How much of its thread compaction takes: a pure decision. Ingestion comes first.

/// Records that wait without being a reason to yield: a second or so of a busy stream.
const LITTLE_LAG_RECORDS: i64 = 20_000;

/// The share, percent, of at most `most`: a tenth of it while back-pressure holds partitions back, or many records wait
/// and do not get fewer.
pub(super) fn share_percent(most: u8, lag_records: i64, lag_before: i64, is_paused: bool) -> u8 {
    let is_behind = lag_records > LITTLE_LAG_RECORDS && lag_records >= lag_before;
    if is_paused || is_behind { (most / 10).max(1) } else { most }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_cases() {
        let cases = [
            ("idle", (0, 0, false), 50),
            ("a little behind", (20_000, 0, false), 50),
            ("behind and falling further", (30_000, 20_000, false), 5),
            ("behind but catching up", (30_000, 40_000, false), 50),
            ("held back by a slow sink", (0, 0, true), 5),
        ];
        for (name, (lag, before, paused), expected) in cases {
            assert_eq!(share_percent(50, lag, before, paused), expected, "{name}");
        }
        assert_eq!(share_percent(5, 0, 0, true), 1);
    }
}
