//! What a run measures as single numbers: the names that limits use and that reports show.

/// Which side of a limit is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A limit is the most that is allowed.
    AtMost,
    /// A limit is the least that is asked for.
    AtLeast,
}

impl Side {
    /// As reports say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AtMost => "at_most",
            Self::AtLeast => "at_least",
        }
    }

    /// Whether a figure meets its limit. What could not be measured meets none.
    pub fn is_met(self, measured: Option<f64>, limit: f64) -> bool {
        measured.is_some_and(|value| match self {
            Self::AtMost => value <= limit,
            Self::AtLeast => value >= limit,
        })
    }
}

/// A figure that a limit can be set for.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// Its name in `[limits]` and in reports, with its unit.
    pub name: &'static str,
    /// Which side is good.
    pub side: Side,
    /// What it is.
    pub meaning: &'static str,
}

const fn at_most(name: &'static str, meaning: &'static str) -> Figure {
    Figure { name, side: Side::AtMost, meaning }
}

const fn at_least(name: &'static str, meaning: &'static str) -> Figure {
    Figure { name, side: Side::AtLeast, meaning }
}

/// Every figure that limits know. Each is in the report where it could be measured.
#[rustfmt::skip]
pub const FIGURES: [Figure; 32] = [
    at_most("bronze_p50_s", "half of the records could be read in bronze (or quarantine) so soon after they were meant to be sent"),
    at_most("bronze_p95_s", "95 % of them"),
    at_most("bronze_p99_s", "99 % of them"),
    at_most("bronze_max_s", "all of them"),
    at_most("gold_p50_s", "half of the windows' parts (one a partition) could be read in gold so soon after their window's end"),
    at_most("gold_p95_s", "95 % of them"),
    at_most("gold_p99_s", "99 % of them"),
    at_most("gold_max_s", "all of them"),
    at_most("board_p50_s", "half of the events were on the live board so soon after they happened, by the engines' own histograms (what a start reads again is left out)"),
    at_most("board_p95_s", "95 % of them"),
    at_most("board_p99_s", "99 % of them"),
    at_most("changes_p50_s", "half of the changes could be read in their dimension so soon after they were made in the source"),
    at_most("changes_p95_s", "95 % of them"),
    at_most("changes_p99_s", "99 % of them"),
    at_most("changes_max_s", "all of them"),
    at_most("cpu_s_per_million", "CPU seconds of the engine for a million records, while they flowed"),
    at_most("cpu_share_of_a_core", "CPU seconds of the engine per second, while records flowed"),
    at_most("peak_resident_mib", "most resident memory that one engine process ever had, MiB"),
    at_most("resident_growth_mib", "mean resident memory in the last third of the time after the warm-up less that in its first third, MiB"),
    at_most("lag_growth_records", "the same difference of the records that were sent and not committed"),
    at_most("lag_max_records", "most records that were sent and not committed at any time after the warm-up"),
    at_most("lag_end_records", "records that were sent and not committed when the last one had been sent"),
    at_most("drain_s", "from the last record sent until all could be read in bronze"),
    at_most("recovery_s", "longest time from the end of a fault until every record that was due by then could be read in bronze"),
    at_most("send_delay_max_s", "the furthest that sending fell behind its plan; more than a second means that the load was not what it should be (Kafka alone)"),
    at_most("live_files", "data files that the tables refer to in the end"),
    at_most("live_files_growth", "their mean in the last third of the time less that in the middle third: near 0 where maintenance keeps up"),
    at_most("warehouse_mib", "everything below the warehouse's directory in the end, MiB (local stores alone)"),
    at_most("engine_starts", "engine processes that were started, the first and those of faults included"),
    at_least("committed_per_s", "records committed per second, from the first one sent until all could be read"),
    at_least("sent_per_s", "records sent per second"),
    at_least("sustainable_rate_per_s", "highest rate that a search found sustainable"),
];

/// The figure of a name.
pub fn figure(name: &str) -> Option<&'static Figure> {
    FIGURES.iter().find(|figure| figure.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for figure in &FIGURES {
            assert_eq!(
                FIGURES.iter().filter(|other| other.name == figure.name).count(),
                1,
                "{}",
                figure.name
            );
        }
        assert!(figure("bronze_p95_s").is_some() && figure("bronze").is_none());
    }

    #[test]
    fn the_readme_says_what_each_means() {
        let readme = include_str!("../../../README.md");
        for Figure { name, side, meaning } in FIGURES {
            let good = if side == Side::AtMost { "low" } else { "high" };
            assert!(readme.contains(&format!("| `{name}` | {good} | {meaning} |")), "{name}");
        }
    }

    #[test]
    fn what_was_not_measured_meets_no_limit() {
        assert!(Side::AtMost.is_met(Some(2.0), 2.0) && !Side::AtMost.is_met(Some(2.1), 2.0));
        assert!(Side::AtLeast.is_met(Some(2.0), 2.0) && !Side::AtLeast.is_met(Some(1.9), 2.0));
        for side in [Side::AtMost, Side::AtLeast] {
            assert!(!side.is_met(None, 2.0) && !side.is_met(Some(f64::NAN), 2.0));
        }
    }
}
