//! What Linux tells of processes and of the machine: CPU time, resident memory, load.

use std::fs;

/// Ticks in a second of the CPU times in `/proc`: fixed at 100 for user space on every Linux that this runs on.
const TICKS_PER_S: f64 = 100.0;

/// A process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ProcessSample {
    pub(crate) user_s: f64,
    pub(crate) system_s: f64,
    /// Ended, but not waited for: the times are final.
    pub(crate) has_ended: bool,
    /// `None` once it has ended.
    pub(crate) memory: Option<Memory>,
}

/// Resident memory of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) resident_bytes: u64,
    /// The most there ever was.
    pub(crate) peak_bytes: u64,
}

impl ProcessSample {
    pub(crate) fn cpu_s(&self) -> f64 {
        self.user_s + self.system_s
    }
}

/// Looks at a process that has not been waited for; `None` when it is not there.
pub(crate) fn process(pid: u32) -> Option<ProcessSample> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut sample = parse_stat(&stat)?;
    sample.memory = parse_memory(&status);
    Some(sample)
}

fn parse_stat(stat: &str) -> Option<ProcessSample> {
    // The name in parentheses may hold anything, so the fields are counted from its end.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let seconds = |index: usize| Some(fields.get(index)?.parse::<u64>().ok()? as f64 / TICKS_PER_S);
    Some(ProcessSample {
        has_ended: matches!(*fields.first()?, "Z" | "X"),
        user_s: seconds(11)?,
        system_s: seconds(12)?,
        memory: None,
    })
}

fn parse_memory(status: &str) -> Option<Memory> {
    let bytes = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(value.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    };
    Some(Memory { resident_bytes: bytes("VmRSS:")?, peak_bytes: bytes("VmHWM:")? })
}

/// Load averages over 1, 5 and 15 minutes.
pub(crate) fn load_average() -> [f64; 3] {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut numbers = text.split_whitespace().map(|number| number.parse().unwrap_or(0.0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0.0))
}

/// CPU seconds that all processes together have used since the machine started.
pub(crate) fn machine_cpu_s() -> f64 {
    parse_machine_cpu(&fs::read_to_string("/proc/stat").unwrap_or_default()).unwrap_or(0.0)
}

fn parse_machine_cpu(stat: &str) -> Option<f64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    // user, nice, system, (idle, iowait,) irq, softirq; guests are counted in user already.
    let busy: u64 = [0, 1, 2, 5, 6].into_iter().filter_map(|index| ticks.get(index)).sum();
    Some(busy as f64 / TICKS_PER_S)
}

/// The processor's name; empty where Linux does not tell it.
pub(crate) fn cpu_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    line.and_then(|line| line.split_once(':')).map_or_else(String::new, |(_, name)| name.trim().to_owned())
}

/// Memory of the machine, MiB; 0 where Linux does not tell it.
pub(crate) fn memory_mib() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// Operating system and kernel.
pub(crate) fn system() -> String {
    let text = |name: &str| fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    format!("{} {}", text("ostype").trim(), text("osrelease").trim()).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "77 (a) b (c) S 1 77 77 0 -1 4194560 900 0 0 0 1234 56 0 0 20 0 12 0 100 200 300";
        let sample = parse_stat(stat).unwrap();
        assert_eq!((sample.user_s, sample.system_s, sample.has_ended), (12.34, 0.56, false));
        assert!(parse_stat("77 (a) Z 1 77 77 0 -1 4 9 0 0 0 1 2 0").unwrap().has_ended);
        assert_eq!(parse_stat("nonsense"), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n";
        let memory = parse_memory(status).unwrap();
        assert_eq!((memory.resident_bytes, memory.peak_bytes), (1 << 20, 2 << 20));
        assert_eq!(parse_memory("Name:\tzombie\n"), None);
    }

    #[test]
    fn idle_time_is_not_busy() {
        assert_eq!(parse_machine_cpu("cpu  100 10 20 9999 999 3 4 0 0 0\ncpu0 1 1 1"), Some(1.37));
    }

    #[test]
    fn this_process_can_be_seen() {
        let own = process(std::process::id()).unwrap();
        assert!(!own.has_ended && own.memory.unwrap().resident_bytes > 100_000);
    }
}
