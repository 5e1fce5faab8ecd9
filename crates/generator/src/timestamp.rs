//! RFC 3339 timestamps with milliseconds, written fast: the date is kept until the day changes.

use chrono::DateTime;

const MS_PER_DAY: i64 = 86_400_000;

/// Writes timestamps of the years 1970 to 9999.
#[derive(Default)]
pub(crate) struct TimestampWriter {
    /// The day whose date is in `date`, counted from the epoch; `None` before the first.
    day: Option<i64>,
    date: Vec<u8>,
}

impl TimestampWriter {
    /// Appends `2026-02-07T10:00:00.123Z`.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, epoch_ms: i64) {
        let day = epoch_ms.div_euclid(MS_PER_DAY);
        if self.day != Some(day) {
            // The log's limits keep every time far inside chrono's range; the epoch stands in for what can't be.
            let date = DateTime::from_timestamp_millis(epoch_ms).unwrap_or_default().format("%Y-%m-%d");
            self.date = date.to_string().into_bytes();
            self.day = Some(day);
        }
        out.extend_from_slice(&self.date);
        let ms_of_day = epoch_ms.rem_euclid(MS_PER_DAY) as u32;
        let (seconds, ms) = (ms_of_day / 1000, ms_of_day % 1000);
        let [hour_tens, hour_ones] = two_digits(seconds / 3600);
        let [minute_tens, minute_ones] = two_digits(seconds / 60 % 60);
        let [second_tens, second_ones] = two_digits(seconds % 60);
        let [ms_tens, ms_ones] = two_digits(ms % 100);
        let ms_hundreds = b'0' + (ms / 100) as u8;
        out.extend_from_slice(&[
            b'T',
            hour_tens,
            hour_ones,
            b':',
            minute_tens,
            minute_ones,
            b':',
            second_tens,
            second_ones,
            b'.',
            ms_hundreds,
            ms_tens,
            ms_ones,
            b'Z',
        ]);
    }
}

fn two_digits(number: u32) -> [u8; 2] {
    [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_chronos() {
        let mut writer = TimestampWriter::default();
        for epoch_ms in
            [0, 1, 86_399_999, 86_400_000, 1_770_458_400_123, 1_709_164_799_999, 1_709_164_800_000]
        {
            let mut out = Vec::new();
            writer.write(&mut out, epoch_ms);
            let expected = DateTime::from_timestamp_millis(epoch_ms)
                .unwrap()
                .to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
