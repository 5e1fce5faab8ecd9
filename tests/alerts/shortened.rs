//! The configuration files with shorter durations: waits (`for`), windows (`[5m]`), offsets, and Alertmanager's pauses. Nothing else of
//! them changes, so thresholds are real seconds: an alert on "older than 600 s" needs data that is older than 600 s.

use std::fs;
use std::path::Path;

use crate::common::repository;

/// A minute becomes a second and a half: windows of 2 minutes still hold some scrapes.
pub const SHORTER: u64 = 40;
/// Between two scrapes, and two evaluations.
const INTERVAL: &str = "1s";
/// Keys whose value is a duration.
const KEYS: [&str; 4] = ["for: ", "group_wait: ", "group_interval: ", "repeat_interval: "];

/// Writes Prometheus' configuration with the rules into `directory`.
pub fn prometheus_files(directory: &Path, engine: &str, alertmanager: &str, own: &str) {
    let rules = directory.join("rules");
    fs::create_dir_all(&rules).unwrap();
    for entry in fs::read_dir(repository("config/prometheus/rules")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(rules.join(path.file_name().unwrap()), shorter(&text)).unwrap();
    }
    let text = fs::read_to_string(repository("config/prometheus/prometheus.yml")).unwrap();
    let mut text = replaced(&text, "127.0.0.1:9464", engine);
    text = replaced(&text, "127.0.0.1:9093", alertmanager);
    text = replaced(&text, "127.0.0.1:9090", own);
    for (key, value) in
        [("scrape_interval", "15s"), ("scrape_timeout", "10s"), ("evaluation_interval", "15s")]
    {
        text = replaced(&text, &format!("{key}: {value}"), &format!("{key}: {INTERVAL}"));
    }
    fs::write(directory.join("prometheus.yml"), text).unwrap();
}

/// Writes Alertmanager's configuration into `directory`. Each receiver posts to `webhook` and its own name behind it.
pub fn alertmanager_file(directory: &Path, webhook: &str) {
    fs::create_dir_all(directory).unwrap();
    let text = fs::read_to_string(repository("config/alertmanager/alertmanager.yml")).unwrap();
    // The files of the URLs have the receivers' names.
    let text = replaced(&text, "url_file: /run/secrets/", &format!("url: {webhook}/"));
    fs::write(directory.join("alertmanager.yml"), shorter(&text)).unwrap();
}

/// Fails where there is nothing to replace: then the files have changed, and this has to.
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from:?} is not in:\n{text}");
    text.replace(from, to)
}

/// Every duration that means waiting or a window, [`SHORTER`].
fn shorter(text: &str) -> String {
    text.lines().map(|line| shorter_line(line) + "\n").collect()
}

fn shorter_line(line: &str) -> String {
    let content = line.trim_start();
    if let Some(key) = KEYS.iter().find(|key| content.starts_with(*key)) {
        let (before, value) = line.split_at(line.len() - content.len() + key.len());
        let milliseconds = milliseconds(value).unwrap_or_else(|| panic!("no duration: {line:?}"));
        return format!("{before}{}ms", milliseconds / SHORTER);
    }
    let mut shortened = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(['[', ' ']) {
        let (before, from) = rest.split_at(at + 1);
        shortened.push_str(before);
        let is_window = before.ends_with('[') || shortened.ends_with(" offset ");
        let length = from.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(from.len());
        match milliseconds(&from[..length]).filter(|_| is_window) {
            Some(milliseconds) => {
                shortened.push_str(&format!("{}ms", milliseconds / SHORTER));
                rest = &from[length..];
            }
            None => rest = from,
        }
    }
    shortened + rest
}

/// Of a duration as Prometheus writes it, with one unit.
fn milliseconds(text: &str) -> Option<u64> {
    let (count, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    Some(count.parse::<u64>().ok()? * seconds * 1_000)
}

#[test]
fn waits_windows_and_offsets_get_shorter_and_nothing_else() {
    for (line, expected) in [
        ("        for: 5m", "        for: 7500ms"),
        ("  group_wait: 10s", "  group_wait: 250ms"),
        ("max_over_time(up[10m]) == 0", "max_over_time(up[15000ms]) == 0"),
        ("up{job=\"pulselake\"} offset 10m == 0", "up{job=\"pulselake\"} offset 15000ms == 0"),
        ("a:b:ratio_rate1h > 14.4 * 0.05 and a > 600", "a:b:ratio_rate1h > 14.4 * 0.05 and a > 600"),
        ("matchers: [severity = critical]", "matchers: [severity = critical]"),
        ("  # 3 times for a day", "  # 3 times for a day"),
        ("rate(x{le=\"120\"}[30d])) / y[5m]", "rate(x{le=\"120\"}[64800000ms])) / y[7500ms]"),
    ] {
        assert_eq!(shorter_line(line), expected);
    }
}
