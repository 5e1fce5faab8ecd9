//! The scenarios that come with the program: the files of `load-tests/scenarios`.

macro_rules! ready {
    ($($name:literal),* $(,)?) => {
        /// Names and texts, in the order in which they are listed.
        const READY: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../../scenarios/", $name, ".toml")))),*];
    };
}

ready![
    "steady-1k",
    "steady-10k",
    "ramp-to-limit",
    "viral-spike",
    "hot-partition",
    "broken-clients",
    "schema-drift",
    "late-and-skewed",
    "duplicates",
    "cdc-churn",
    "broker-restart",
    "kill-loop",
    "rebalance-storm",
    "catalog-outage",
    "store-brownout",
    "compaction-race",
    "soak",
];

/// All names.
pub fn names() -> impl Iterator<Item = &'static str> {
    READY.iter().map(|(name, _)| *name)
}

/// The file of a name.
pub fn text(name: &str) -> Option<&'static str> {
    READY.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::super::file::parse;
    use super::*;

    /// Each file is right in both forms, has the name of its file, and a short form that is short.
    #[test]
    fn every_file_is_right() {
        for name in names() {
            let full = parse(text(name).unwrap(), false).unwrap_or_else(|error| panic!("{name}: {error:#}"));
            let short = parse(text(name).unwrap(), true).unwrap_or_else(|error| panic!("{name}: {error:#}"));
            assert_eq!(full.name, name);
            assert!(short.duration_s() <= 60, "{name}: {} s", short.duration_s());
            assert!(full.duration_s() > short.duration_s(), "{name}");
            assert_eq!(full.faults.faults.is_empty(), short.faults.faults.is_empty(), "{name}");
            let strict = full.limits.keys().any(|limit| limit.ends_with("_s"));
            assert!(strict || full.limits.contains_key("sustainable_rate_per_s"), "{name} asks for nothing");
        }
    }
}
