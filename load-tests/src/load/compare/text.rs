//! A comparison as text, for a terminal and a log.

use std::fmt::{self, Display, Formatter};

use super::{Comparison, Row, Verdict};
use crate::load::report::numbers::{plain, with_unit};

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.subject)?;
        writeln!(f, "  A: {}", self.side_a)?;
        writeln!(f, "  B: {}", self.side_b)?;
        for obstacle in &self.obstacles {
            writeln!(f, "  not comparable: {}", obstacle.text)?;
        }
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        writeln!(f)?;
        write_table(f, &self.rows)?;
        writeln!(f)?;
        if !self.obstacles.is_empty() {
            return writeln!(f, "The runs are not comparable, so nothing is judged.");
        }
        if self.is_audit_worse {
            writeln!(f, "The audit passed in A and failed in B: that is worse, whatever the figures say.")?;
        }
        let count = |verdict| self.rows.iter().filter(|row| row.verdict == verdict).count();
        writeln!(
            f,
            "{} worse, {} better, {} within noise, {} not comparable.",
            count(Verdict::Worse),
            count(Verdict::Better),
            count(Verdict::WithinNoise),
            count(Verdict::NotComparable)
        )?;
        writeln!(f, "{}", self.method)
    }
}

fn write_table(f: &mut Formatter<'_>, rows: &[Row]) -> fmt::Result {
    let mut lines = vec![["figure", "A", "B", "change", "called from", "verdict"].map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let widths: Vec<usize> = (0..5)
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    for [name, a, b, change, called_from, verdict] in &lines {
        writeln!(
            f,
            "{name:<0$}  {a:>1$}  {b:>2$}  {change:>3$}  {called_from:>4$}  {verdict}",
            widths[0], widths[1], widths[2], widths[3], widths[4]
        )?;
    }
    Ok(())
}

fn cells(row: &Row) -> [String; 6] {
    let value = |value: Option<f64>| match value {
        None => "–".to_owned(),
        Some(value) if value == f64::INFINITY => "never".to_owned(),
        Some(value) => with_unit(value, row.unit),
    };
    let finite = row.a.zip(row.b).filter(|(a, b)| a.is_finite() && b.is_finite());
    let change = finite.map_or_else(String::new, |(a, b)| relative(b - a, a, row.unit, true));
    let smallest = row.noise.unwrap_or(0.0).max(row.floor);
    let judged = finite.filter(|_| row.verdict != Verdict::NotComparable);
    let called_from = judged.map_or_else(String::new, |(a, _)| relative(smallest, a, row.unit, false));
    let verdict = match row.verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::WithinNoise => "within noise",
        Verdict::NotComparable => "not comparable",
    };
    let reason = if row.reason.is_empty() { String::new() } else { format!(" ({})", row.reason) };
    [row.name.clone(), value(row.a), value(row.b), change, called_from, format!("{verdict}{reason}")]
}

/// As a percentage of A where that is one, else in the figure's unit.
fn relative(difference: f64, a: f64, unit: &str, with_sign: bool) -> String {
    let size = difference.abs();
    let percent = size / a.abs() * 100.0;
    let size = match percent {
        _ if a == 0.0 => with_unit(size, unit),
        _ if percent < 1000.0 => format!("{percent:.1} %"),
        _ => format!("{} %", plain(percent)),
    };
    let sign = match difference {
        _ if !with_sign => "± ",
        // What rounds to nothing has no direction.
        _ if size.starts_with("0.0 ") => "",
        _ if difference > 0.0 => "+",
        _ if difference < 0.0 => "-",
        _ => "",
    };
    format!("{sign}{size}")
}

#[cfg(test)]
mod tests {
    use super::super::compare;
    use super::*;
    use crate::load::example::{self, Recipe};

    #[test]
    fn the_table_is_for_reading() {
        let slower = Recipe { level: 1.3, ..Recipe::new(2) }.cook();
        let mut a = example::steady(1);
        a.figures.insert("kills".to_owned(), 3.0);
        let text = compare(&a, &slower).to_string();
        let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        let words =
            |name: &str| line(name).split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
        assert!(words("bronze_p95_s").contains(" s +"), "{text}");
        assert!(line("bronze_p95_s").ends_with("worse"), "{text}");
        assert!(line("committed_per_s").ends_with("within noise"), "{text}");
        assert!(line("kills").ends_with("not comparable (missing in B)"), "{text}");
        assert!(
            text.starts_with("steady-10k, full length, events from kafka\n  A: 1 run, pulselake 0.1.0"),
            "{text}"
        );
        let verdict_columns: Vec<usize> = ["bronze_p95_s", "committed_per_s"]
            .iter()
            .map(|name| {
                let line = line(name);
                line.chars().count() - if line.ends_with("worse") { 5 } else { 12 }
            })
            .collect();
        assert_eq!(verdict_columns[0], verdict_columns[1], "{text}");
    }

    #[test]
    fn differences_are_relative_where_they_can_be() {
        assert_eq!(relative(0.2, 1.0, "s", true), "+20.0 %");
        assert_eq!(relative(-3.0, 0.0, "records", true), "-3 records");
        assert_eq!(relative(0.0, 0.0, "s", true), "0 s");
        assert_eq!(relative(-0.0001, 1.0, "s", true), "0.0 %");
        assert_eq!(relative(0.05, 1.0, "s", false), "± 5.0 %");
    }
}
