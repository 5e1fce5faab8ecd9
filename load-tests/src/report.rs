//! The one JSON object that a load test prints: what was measured, on which machine, with which settings, and whether it
//! was good enough.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::cli::CommonArgs;
use crate::engine::EngineBinary;
use crate::proc_fs;
use crate::statistics::rounded;

/// Collects a report while a load test runs.
pub(crate) struct Report {
    fields: Map<String, Value>,
    thresholds: Vec<Threshold>,
    machine_cpu_before_s: f64,
}

/// A limit that somebody asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Threshold {
    name: &'static str,
    limit: f64,
    measured: Option<f64>,
    met: bool,
}

/// Which side of a limit is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    AtMost,
    AtLeast,
}

impl Report {
    /// Begins a report, at the moment at which the load test begins.
    pub(crate) fn begin(scenario: &str, binary: &EngineBinary, common: &CommonArgs) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let mut report = Self {
            fields: Map::new(),
            thresholds: Vec::new(),
            machine_cpu_before_s: proc_fs::machine_cpu_s(),
        };
        report.put("scenario", scenario);
        report.put("engine_version", &binary.version);
        report.put("settings", &common.settings);
        report.put("cores", cores);
        report.put("load_before", proc_fs::load_average());
        report
    }

    /// Sets a field.
    pub(crate) fn put(&mut self, name: &str, value: impl Serialize) {
        // Plain numbers, texts and structures of these: nothing that JSON can't hold.
        let value = serde_json::to_value(value).unwrap_or(Value::Null);
        self.fields.insert(name.to_owned(), value);
    }

    /// Compares a measurement with its limit, if there is one. What was not measured meets no limit.
    pub(crate) fn check(
        &mut self,
        name: &'static str,
        limit: Option<f64>,
        side: Limit,
        measured: Option<f64>,
    ) {
        let Some(limit) = limit else { return };
        let met = measured.is_some_and(|value| match side {
            Limit::AtMost => value <= limit,
            Limit::AtLeast => value >= limit,
        });
        self.thresholds.push(Threshold { name, limit, measured, met });
    }

    /// Ends the report: the JSON object, and whether every limit was met.
    pub(crate) fn finish(mut self) -> (Value, bool) {
        self.put("load_after", proc_fs::load_average());
        let machine_cpu_s = proc_fs::machine_cpu_s() - self.machine_cpu_before_s;
        self.put("machine_cpu_s", rounded(machine_cpu_s, 1));
        let all_met = self.thresholds.iter().all(|threshold| threshold.met);
        if !self.thresholds.is_empty() {
            let thresholds = json!({"all_met": all_met, "checked": self.thresholds});
            self.put("thresholds", thresholds);
        }
        (Value::Object(self.fields), all_met)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_met_on_its_side_and_never_by_what_was_not_measured() {
        let mut report = Report { fields: Map::new(), thresholds: Vec::new(), machine_cpu_before_s: 0.0 };
        report.check("a", Some(2.0), Limit::AtMost, Some(2.0));
        report.check("b", Some(2.0), Limit::AtLeast, Some(2.5));
        report.check("c", None, Limit::AtMost, Some(99.0));
        assert!(report.thresholds.iter().all(|threshold| threshold.met) && report.thresholds.len() == 2);
        report.check("d", Some(2.0), Limit::AtMost, None);
        let (json, all_met) = report.finish();
        assert!(!all_met);
        assert_eq!(json["thresholds"]["checked"][2]["met"], false);
    }
}
