//! What is wrong, one line each: the first hundred, and how many there are.

/// Lines that are kept.
const KEPT: usize = 100;

/// Findings in the making.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    lines: Vec<String>,
    count: u64,
}

impl Findings {
    /// Adds one; its text is only made when it is kept.
    pub(crate) fn add(&mut self, line: impl FnOnce() -> String) {
        self.count += 1;
        if self.lines.len() < KEPT {
            self.lines.push(line());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The lines, and where some were left out, how many.
    pub(crate) fn into_lines(mut self) -> Vec<String> {
        let left_out = self.count - self.lines.len() as u64;
        if left_out > 0 {
            self.lines.push(format!("and {left_out} more"));
        }
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_hundred_are_kept_and_all_are_counted() {
        let mut findings = Findings::default();
        assert!(findings.is_empty());
        for number in 0..105 {
            findings.add(|| number.to_string());
        }
        assert!(!findings.is_empty());
        let lines = findings.into_lines();
        assert_eq!((lines.len(), lines[0].as_str(), lines[100].as_str()), (101, "0", "and 5 more"));
    }
}
