//! What the name of a figure says about it: its unit, what it measures, and which way is better. The report prints units
//! by it, the comparison judges by it.

/// What a figure measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FigureKind {
    /// Something a second: `…_per_s`.
    Rate,
    /// What a million events cost: `…_s_per_million`, `…_per_million`.
    CostPerMillion,
    /// `…_s`.
    Seconds,
    /// `…_ms`.
    Milliseconds,
    /// `…_mib`.
    Mebibytes,
    /// `…_bytes`.
    Bytes,
    /// `…_records`.
    Records,
    /// `…_files`.
    Files,
    /// `…_cores`.
    Cores,
    /// The name does not say.
    Unknown,
}

/// Which way of a figure is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Higher,
    Lower,
    Unknown,
}

/// Words behind the unit that say which of many values it is: `resident_mib_max`, `event_to_bronze_s_p95`.
const WHICH_VALUE: [&str; 12] =
    ["max", "min", "mean", "median", "end", "growth", "peak", "worst", "total", "p50", "p95", "p99"];

impl FigureKind {
    /// Reads the kind off a figure's name.
    pub(crate) fn of(name: &str) -> Self {
        let mut words: Vec<&str> = name.split('_').collect();
        while words.len() > 1 && words.last().is_some_and(|word| WHICH_VALUE.contains(word)) {
            words.pop();
        }
        match words.as_slice() {
            [.., "per", "s"] => Self::Rate,
            [.., "per", "million"] => Self::CostPerMillion,
            [.., "s"] => Self::Seconds,
            [.., "ms"] => Self::Milliseconds,
            [.., "mib"] => Self::Mebibytes,
            [.., "bytes"] => Self::Bytes,
            [.., "records"] => Self::Records,
            [.., "files"] => Self::Files,
            [.., "cores"] => Self::Cores,
            _ => Self::Unknown,
        }
    }

    /// As printed behind a number; empty where there is none.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Rate => "/s",
            Self::CostPerMillion => "s/million",
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Mebibytes => "MiB",
            Self::Bytes => "bytes",
            Self::Records => "records",
            Self::Files => "files",
            Self::Cores => "cores",
            Self::Unknown => "",
        }
    }

    /// Rates should be high, everything else that costs or waits should be low.
    pub(crate) fn better(self) -> Better {
        match self {
            Self::Rate => Better::Higher,
            Self::Unknown => Better::Unknown,
            _ => Better::Lower,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_with_their_units() {
        for (name, kind) in [
            ("sustainable_events_per_s", FigureKind::Rate),
            ("cpu_s_per_million", FigureKind::CostPerMillion),
            ("bronze_p95_s", FigureKind::Seconds),
            ("worst_send_delay_ms", FigureKind::Milliseconds),
            ("resident_mib_max", FigureKind::Mebibytes),
            ("lag_records_mean", FigureKind::Records),
            ("live_files_growth", FigureKind::Files),
            ("max", FigureKind::Unknown),
            ("kills", FigureKind::Unknown),
        ] {
            assert_eq!(FigureKind::of(name), kind, "{name}");
        }
    }

    #[test]
    fn only_rates_are_better_when_higher() {
        assert_eq!(FigureKind::of("committed_per_s").better(), Better::Higher);
        assert_eq!(FigureKind::of("recovery_s").better(), Better::Lower);
        assert_eq!(FigureKind::of("restarts").better(), Better::Unknown);
    }
}
