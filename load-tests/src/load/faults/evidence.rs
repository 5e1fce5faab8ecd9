//! How a fault shows in the engine's own metrics and log. A fault that leaves no trace there was not felt, or can't be
//! seen by who runs the engine: both are findings. Pure functions of what was seen.

use super::plan::FaultKind;
use super::sightings::{Figures, LogLine, Sighting};

/// How far back the time before a fault is looked at, for comparison.
const BEFORE_MS: i64 = 30_000;
/// A pause shorter than this is none.
const SHORTEST_PAUSE_MS: i64 = 1_000;
/// How much longer than the longest pause before the fault its own has to be.
const LONGER_THAN_BEFORE: f64 = 1.5;
/// How much slower commits have to be than before the fault, and by how many milliseconds.
const SLOWER_THAN_BEFORE: f64 = 1.5;
const SLOWER_BY_MS: f64 = 20.0;

/// Log events of a commit that met trouble.
const COMMIT_TROUBLE: [&str; 6] = [
    "commit_retry",
    "commit_outcome_unknown",
    "catalog_waited_for",
    "generation_killed",
    "maintenance_failed",
    "orphan_left",
];

/// A fault that has happened, and what was seen around it.
pub(crate) struct Scene<'a> {
    pub(crate) kind: FaultKind,
    /// When it began, milliseconds since the epoch.
    pub(crate) from_ms: i64,
    /// When it was over.
    pub(crate) to_ms: i64,
    /// Until when its aftermath is looked at: before the next fault.
    pub(crate) until_ms: i64,
    /// Since when nothing was wrong before the fault: the engine had recovered from the one before it.
    pub(crate) calm_from_ms: i64,
    /// In the order of time.
    pub(crate) sightings: &'a [Sighting],
    /// In the order of time.
    pub(crate) lines: &'a [LogLine],
}

/// What shows the fault, one line each, metrics and log events by their names.
pub(crate) fn evidence(scene: &Scene<'_>) -> Vec<String> {
    let mut found = Vec::new();
    match scene.kind {
        FaultKind::EngineKill => {
            found.extend(scene.events(&["service_started"]));
            found.extend(scene.counters());
        }
        FaultKind::EnginePause => {
            found.extend(scene.commits_paused());
            found.extend(scene.events(&["heartbeat_missed", "rebalanced", "fenced"]));
        }
        FaultKind::BrokerRestart | FaultKind::BrokerPause => {
            found.extend(
                scene.warnings(|line| {
                    line.target == "librdkafka" || line.target.starts_with("pulselake_source")
                }),
            );
            found.extend(scene.reading_paused());
        }
        FaultKind::CatalogOutage(_) => {
            found.extend(scene.events(&COMMIT_TROUBLE));
            found.extend(scene.commits_paused());
            found.extend(scene.counters());
        }
        FaultKind::CatalogSlow(_) => found.extend(scene.commits_slower()),
        FaultKind::StoreOutage(_) | FaultKind::StoreBrownout(_) => {
            found.extend(scene.events(&COMMIT_TROUBLE));
            found.extend(scene.warnings(|line| line.target.contains("store")));
            found.extend(scene.commits_paused());
            found.extend(scene.commits_slower());
            found.extend(scene.counters());
        }
        FaultKind::PartitionGrowth { .. } => {
            found.extend(scene.assignment());
            found.extend(scene.events(&["rebalanced"]));
        }
        FaultKind::Rebalance { .. } => {
            found.extend(scene.events(&["rebalanced"]));
            found.extend(scene.assignment());
        }
        // The engine folds files by itself as well, so nothing that it says shows whose work it was: `pulselake maintain`
        // tells what it has changed.
        FaultKind::Compaction => {}
    }
    found
}

impl Scene<'_> {
    /// Log events of these names, counted by name.
    fn events(&self, names: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        for name in names {
            let lines: Vec<&LogLine> = self.aftermath_lines().filter(|line| line.event == *name).collect();
            if let Some(first) = lines.first() {
                found.push(format!("log event {name}, {} times: {}", lines.len(), first.detail));
            }
        }
        found
    }

    /// Warnings of some speaker.
    fn warnings(&self, is_meant: impl Fn(&LogLine) -> bool) -> Option<String> {
        let lines: Vec<&LogLine> = self
            .aftermath_lines()
            .filter(|line| line.is_warning && line.event.is_empty() && is_meant(line))
            .collect();
        let first = lines.first()?;
        Some(format!("log warning of {}, {} times: {}", first.target, lines.len(), first.detail))
    }

    fn aftermath_lines(&self) -> impl Iterator<Item = &LogLine> {
        self.lines.iter().filter(|line| (self.from_ms..=self.until_ms).contains(&line.at_ms))
    }

    /// No commit for long.
    fn commits_paused(&self) -> Option<String> {
        let commits = self.lines.iter().filter(|line| line.event == "commit_done");
        let (pause_ms, before_ms) = self.pause(&commits.map(|line| line.at_ms).collect::<Vec<_>>())?;
        Some(format!("no log event commit_done for {}, {} before", seconds(pause_ms), seconds(before_ms)))
    }

    /// No record taken for long.
    fn reading_paused(&self) -> Option<String> {
        let grew = |pair: &[Sighting]| {
            let [earlier, later] = pair else { return None };
            let is_growth = later.figures.source_records > earlier.figures.source_records;
            (is_growth || later.process != earlier.process).then_some(later.at_ms)
        };
        let times: Vec<i64> = self.sightings.windows(2).filter_map(grew).collect();
        let (pause_ms, before_ms) = self.pause(&times)?;
        let (pause, before) = (seconds(pause_ms), seconds(before_ms));
        Some(format!("pulselake_source_records_total stood still for {pause}, {before} before"))
    }

    /// The longest time without one of these moments that touches the fault, and the longest one before it; `None` when
    /// that is nothing out of the ordinary.
    fn pause(&self, times: &[i64]) -> Option<(i64, i64)> {
        let before: Vec<i64> = times.iter().copied().filter(|at| self.is_calm(*at)).collect();
        if before.is_empty() {
            // It did not happen before either.
            return None;
        }
        let before_ms = before.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
        // One that lasts into the fault counts from the fault on.
        let within = times.iter().copied().filter(|at| (self.from_ms..=self.until_ms).contains(at));
        let edges: Vec<i64> = std::iter::once(self.from_ms).chain(within).chain([self.until_ms]).collect();
        let touching = edges.windows(2).filter(|pair| pair[0] <= self.to_ms);
        let pause_ms = touching.map(|pair| pair[1] - pair[0]).max()?;
        let shortest_ms = SHORTEST_PAUSE_MS.max((self.to_ms - self.from_ms) / 2);
        let is_unusual = pause_ms >= shortest_ms && pause_ms as f64 > LONGER_THAN_BEFORE * before_ms as f64;
        is_unusual.then_some((pause_ms, before_ms))
    }

    /// Whether it is before the fault, and after what came before that.
    fn is_calm(&self, at_ms: i64) -> bool {
        (self.calm_from_ms.max(self.from_ms - BEFORE_MS)..=self.from_ms).contains(&at_ms)
    }

    /// Commits that were begun during the fault took longer than those before it.
    fn commits_slower(&self) -> Option<String> {
        let mean_ms = |is_meant: &dyn Fn(i64) -> bool| {
            let commits = self.lines.iter().filter(|line| line.event == "commit_done");
            let durations = commits.filter_map(|line| {
                let duration_ms = i64::try_from(line.duration_ms).ok()?;
                is_meant(line.at_ms - duration_ms).then_some(duration_ms as f64)
            });
            let durations: Vec<f64> = durations.collect();
            (!durations.is_empty()).then(|| durations.iter().sum::<f64>() / durations.len() as f64)
        };
        let during_ms = mean_ms(&|begun_ms| (self.from_ms..=self.to_ms).contains(&begun_ms))?;
        let before_ms = mean_ms(&|begun_ms| self.is_calm(begun_ms))?;
        let is_slower = during_ms >= before_ms * SLOWER_THAN_BEFORE && during_ms >= before_ms + SLOWER_BY_MS;
        is_slower.then(|| format!("commit_done took {during_ms:.0} ms on average, {before_ms:.0} ms before"))
    }

    /// [`Figures::COUNTERS`] that have grown, from the last look before the fault on; a new process begins at nothing.
    fn counters(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, figure) in Figures::COUNTERS {
            let mut last = self.before().map(|sighting| (sighting.process, figure(&sighting.figures)));
            let mut grown = 0.0;
            for sighting in self.aftermath() {
                let now = figure(&sighting.figures);
                grown += match last {
                    Some((process, value)) if process == sighting.process => now - value,
                    // Its first value may be as old as the engine, where nobody looked before the fault.
                    None => 0.0,
                    Some(_) => now,
                };
                last = Some((sighting.process, now));
            }
            if grown > 0.0 {
                found.push(format!("{name} grew by {grown}"));
            }
        }
        found
    }

    /// The engine has other partitions than before.
    fn assignment(&self) -> Option<String> {
        let before = self.before()?;
        let others = self.aftermath().filter(|sighting| sighting.process == before.process);
        let mut counts = vec![before.figures.assigned_partitions];
        counts.extend(others.map(|sighting| sighting.figures.assigned_partitions));
        counts.dedup();
        let told: Vec<String> = counts.iter().map(f64::to_string).collect();
        (counts.len() > 1).then(|| format!("pulselake_assigned_partitions: {}", told.join(", then ")))
    }

    fn before(&self) -> Option<&Sighting> {
        self.sightings.iter().rev().find(|sighting| sighting.at_ms < self.from_ms)
    }

    fn aftermath(&self) -> impl Iterator<Item = &Sighting> {
        self.sightings.iter().filter(|sighting| (self.from_ms..=self.until_ms).contains(&sighting.at_ms))
    }
}

fn seconds(ms: i64) -> String {
    format!("{:.1} s", ms as f64 / 1e3)
}

#[cfg(test)]
mod tests;
