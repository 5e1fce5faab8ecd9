//! Made-up runs that look like real ones, for the tests of the report and of the comparison. The same seed makes the same
//! run.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::outcome::{
    AuditOutcome, FORMAT, FaultOutcome, IntervalPercentiles, LatencyOutcome, LimitOutcome, Machine,
    Percentiles, PhaseOutcome, RunOutcome, Sample,
};

/// How a made-up run goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    pub(crate) seed: u64,
    pub(crate) length_s: u32,
    /// Multiplies latencies, CPU and memory.
    pub(crate) level: f64,
    /// Relative spread from second to second.
    pub(crate) noise: f64,
    /// How much of a second's deviation stays in the next one, 0 to 1.
    pub(crate) memory: f64,
}

impl Recipe {
    /// Five minutes with little noise.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, length_s: 300, level: 1.0, noise: 0.05, memory: 0.3 }
    }

    /// The run.
    pub(crate) fn cook(self) -> RunOutcome {
        Kitchen { recipe: self, random: ChaCha8Rng::seed_from_u64(self.seed), deviation: 0.0 }.run()
    }
}

struct Kitchen {
    recipe: Recipe,
    random: ChaCha8Rng,
    deviation: f64,
}

impl Kitchen {
    /// The level of the next second: an autoregressive process of order one around 1, with the recipe's spread.
    fn next_level(&mut self) -> f64 {
        let Recipe { noise, memory, level, .. } = self.recipe;
        // The sum of twelve even numbers is nearly normal.
        let shock: f64 = (0..12).map(|_| self.random.random::<f64>()).sum::<f64>() - 6.0;
        self.deviation = memory * self.deviation + noise * (1.0 - memory * memory).sqrt() * shock;
        rounded(level * self.deviation.exp())
    }

    fn run(mut self) -> RunOutcome {
        let length_s = self.recipe.length_s;
        let warm_up_s = f64::from(length_s / 10);
        let end_s = f64::from(length_s);
        let levels: Vec<f64> = (0..length_s).map(|_| self.next_level()).collect();
        let samples = samples(&levels);
        let bronze = latency(&levels, 0.8, 1.0, 10_000, warm_up_s);
        let gold = latency(&levels, 6.0, 10.0, 300, warm_up_s);
        let mean_level = levels.iter().sum::<f64>() / levels.len() as f64;
        let figures = BTreeMap::from([
            ("cpu_s_per_million".to_owned(), rounded(3.0 * mean_level)),
            ("peak_resident_mib".to_owned(), 240.5),
            ("send_delay_max_s".to_owned(), 0.012),
        ]);
        let limit = |name: &str, side: &str, allowed: f64, measured: f64| LimitOutcome {
            name: name.to_owned(),
            side: side.to_owned(),
            limit: allowed,
            measured: Some(measured),
            met: true,
        };
        let limits = vec![
            limit("bronze_p95_s", "at_most", 4.0, bronze.whole.p95_s),
            limit("bronze_p99_s", "at_most", 8.0, bronze.whole.p99_s),
            limit("gold_p95_s", "at_most", 60.0, gold.whole.p95_s),
            limit("committed_per_s", "at_least", 9_000.0, 9_998.0),
        ];
        RunOutcome {
            format: FORMAT,
            scenario: "steady-10k".to_owned(),
            description:
                "Does the engine carry 10,000 events a second for five minutes without falling behind?"
                    .to_owned(),
            is_short: false,
            transport: "kafka".to_owned(),
            started_ms: 1_790_000_000_000,
            engine_version: "pulselake 0.1.0".to_owned(),
            settings: vec!["commit.interval_ms=1000".to_owned()],
            scenario_file: "name = \"steady-10k\"\n\n[load]\nrate_per_s = 10_000\n".to_owned(),
            notes: Vec::new(),
            problems: Vec::new(),
            machine: Machine {
                cores: 2,
                cpu_model: "Example CPU at 2.8 GHz".to_owned(),
                memory_mib: 7_900,
                system: "Linux 6.1.0".to_owned(),
                load_before: [0.2, 0.3, 0.2],
                load_after: [1.4, 0.9, 0.5],
                machine_cpu_s: samples.last().map_or(0.0, |sample| rounded(sample.engine_cpu_s * 2.2)),
            },
            phases: vec![
                phase("warm-up", "warm_up", 0.0, warm_up_s),
                phase("hold", "steady", warm_up_s, end_s),
            ],
            faults: Vec::new(),
            samples,
            latencies: BTreeMap::from([
                ("event_to_bronze".to_owned(), bronze),
                ("window_end_to_gold".to_owned(), gold),
            ]),
            figures,
            limits,
            audit: AuditOutcome {
                passed: true,
                events: u64::from(length_s) * 10_000,
                quarantined: 3_000,
                video_minutes: 51_234,
                promised: BTreeMap::new(),
                findings: Vec::new(),
            },
            passed: true,
        }
    }
}

/// Few enough digits to be the same after a way through JSON.
fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

fn phase(name: &str, kind: &str, from_s: f64, to_s: f64) -> PhaseOutcome {
    PhaseOutcome {
        name: name.to_owned(),
        kind: kind.to_owned(),
        from_s,
        to_s,
        events: ((to_s - from_s) * 1e4) as u64,
    }
}

fn samples(levels: &[f64]) -> Vec<Sample> {
    let mut engine_cpu_s = 0.4;
    let mut samples = Vec::new();
    for (second, level) in levels.iter().enumerate() {
        let sent_events = second as u64 * 10_000;
        let lag_committed_records = (6_000.0 * level) as u64;
        engine_cpu_s += 0.03 * level;
        samples.push(Sample {
            at_s: second as f64,
            intended_events: sent_events,
            sent_events: sent_events.saturating_sub(second as u64 % 7),
            committed_records: sent_events.saturating_sub(lag_committed_records),
            lag_taken_records: Some(lag_committed_records / 40),
            lag_committed_records,
            engine_cpu_s: rounded(engine_cpu_s),
            resident_mib: rounded(180.0 * level + (second as f64).ln_1p() * 4.0),
            // Files grow with every commit, and a compaction takes them away.
            live_files: 20 + second as u64 % 60,
            warehouse_bytes: second as u64 * 700_000,
        });
    }
    samples
}

fn latency(levels: &[f64], p50_s: f64, interval_s: f64, per_second: u64, warm_up_s: f64) -> LatencyOutcome {
    let of_level = |level: f64, count: u64| Percentiles {
        count,
        p50_s: rounded(p50_s * level),
        p90_s: rounded(p50_s * level * 1.6),
        p95_s: rounded(p50_s * level * 1.8),
        p99_s: rounded(p50_s * level * 2.4),
        p999_s: rounded(p50_s * level * 3.0),
        max_s: rounded(p50_s * level * 3.6),
    };
    let chunks = levels.chunks(interval_s as usize).enumerate();
    let intervals: Vec<IntervalPercentiles> = chunks
        .map(|(index, chunk)| IntervalPercentiles {
            from_s: index as f64 * interval_s,
            percentiles: of_level(
                chunk.iter().sum::<f64>() / chunk.len() as f64,
                per_second * chunk.len() as u64,
            ),
        })
        .collect();
    let measured = &levels[warm_up_s as usize..];
    let mean = measured.iter().sum::<f64>() / measured.len() as f64;
    LatencyOutcome {
        whole: of_level(mean, per_second * measured.len() as u64),
        intervals,
        interval_s,
        histogram: String::new(),
    }
}

/// A quiet run of five minutes.
pub(crate) fn steady(seed: u64) -> RunOutcome {
    Recipe::new(seed).cook()
}

/// A quiet run of hours.
pub(crate) fn soak(length_s: u32) -> RunOutcome {
    Recipe { length_s, ..Recipe::new(1) }.cook()
}

/// A run with a spike, a kill and an outage, and the lag and latencies that follow.
pub(crate) fn with_faults(seed: u64) -> RunOutcome {
    let mut outcome = steady(seed);
    outcome.scenario = "viral-spike-with-kills".to_owned();
    outcome.description =
        "What do a spike of three times the load, a kill and a catalog that is away for twenty seconds cost?"
            .to_owned();
    outcome.notes = vec!["Changes were not sent, so nothing is said about the dimension.".to_owned()];
    outcome.phases = vec![
        phase("warm-up", "warm_up", 0.0, 30.0),
        phase("hold", "steady", 30.0, 90.0),
        phase("viral", "spike", 90.0, 130.0),
        phase("calm", "recovery", 130.0, 180.0),
        phase("kill and outage", "fault", 180.0, 250.0),
        phase("after", "recovery", 250.0, 300.0),
    ];
    let fault = |kind: &str, from_s: f64, to_s: f64, recovered_after_s, evidence: &[&str]| FaultOutcome {
        kind: kind.to_owned(),
        from_s,
        to_s,
        recovered_after_s,
        evidence: evidence.iter().map(|line| (*line).to_owned()).collect(),
    };
    outcome.faults = vec![
        fault(
            "engine_kill",
            190.0,
            190.4,
            Some(2.3),
            &["the process 4711 ended with signal 9", "pulselake_restored_offsets_total grew by 12"],
        ),
        fault("catalog_outage", 215.0, 235.0, Some(0.8), &["pulselake_commit_failures_total grew by 9"]),
    ];
    let held_back = |at_s: f64| match at_s {
        _ if (190.0..193.0).contains(&at_s) => at_s - 190.0,
        _ if (215.0..236.0).contains(&at_s) => at_s - 215.0,
        _ if (90.0..130.0).contains(&at_s) => 1.5,
        _ => 0.0,
    };
    let mut more_events = 0;
    for sample in &mut outcome.samples {
        if (90.0..130.0).contains(&sample.at_s) {
            more_events += 20_000;
        }
        sample.intended_events += more_events;
        sample.sent_events += more_events;
        let lag = sample.lag_committed_records + (held_back(sample.at_s) * 1e4) as u64;
        sample.lag_committed_records = lag.min(sample.sent_events);
        sample.committed_records = sample.sent_events.saturating_sub(lag);
        if (190.0..191.5).contains(&sample.at_s) {
            sample.resident_mib = 0.0;
            sample.lag_taken_records = None;
        }
    }
    for latency in outcome.latencies.values_mut() {
        for interval in &mut latency.intervals {
            let later_s = match interval.from_s {
                _ if (190.0..193.0).contains(&interval.from_s) => 193.0 - interval.from_s,
                _ if (215.0..236.0).contains(&interval.from_s) => 236.0 - interval.from_s,
                from_s => held_back(from_s),
            };
            let percentiles = &mut interval.percentiles;
            for value in [
                &mut percentiles.p50_s,
                &mut percentiles.p90_s,
                &mut percentiles.p95_s,
                &mut percentiles.p99_s,
                &mut percentiles.p999_s,
                &mut percentiles.max_s,
            ] {
                *value = rounded(*value + later_s);
            }
        }
    }
    outcome
}

/// A run in which nothing was seen at all.
pub(crate) fn empty() -> RunOutcome {
    let mut outcome = steady(1);
    outcome.phases.clear();
    outcome.samples.clear();
    outcome.latencies.clear();
    outcome.figures.clear();
    outcome.limits.clear();
    outcome.settings.clear();
    outcome
}

/// A run with one of everything, for the golden file.
pub(crate) fn tiny() -> RunOutcome {
    let mut outcome = with_faults(1);
    outcome.phases.truncate(1);
    outcome.faults.truncate(1);
    outcome.samples = vec![Sample {
        at_s: 1.0,
        intended_events: 10_000,
        sent_events: 9_990,
        committed_records: 8_000,
        lag_taken_records: None,
        lag_committed_records: 1_990,
        engine_cpu_s: 0.5,
        resident_mib: 180.5,
        live_files: 20,
        warehouse_bytes: 700_000,
    }];
    let percentiles =
        Percentiles { count: 9, p50_s: 0.5, p90_s: 0.75, p95_s: 1.0, p99_s: 1.25, p999_s: 1.5, max_s: 2.0 };
    let interval = IntervalPercentiles { from_s: 0.0, percentiles: percentiles.clone() };
    let latency = LatencyOutcome {
        whole: percentiles,
        intervals: vec![interval],
        interval_s: 1.0,
        histogram: "HISTFAAAAA==".to_owned(),
    };
    outcome.latencies = BTreeMap::from([("event_to_bronze".to_owned(), latency)]);
    outcome.figures = BTreeMap::from([("cpu_s_per_million".to_owned(), 3.25)]);
    outcome.limits.truncate(1);
    outcome.limits[0].measured = Some(1.0);
    outcome.machine.machine_cpu_s = 20.5;
    outcome.audit.findings = vec!["gold: 1 like too few".to_owned()];
    outcome
}
