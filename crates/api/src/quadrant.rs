//! Where a video stands on the scatter of velocity and completion.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The four corners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Quadrant {
    /// It rises, and viewers stay.
    Supernova,
    /// It rises, and viewers don't stay.
    Clickbait,
    /// Viewers stay, and it does not rise.
    Steady,
    /// Neither.
    Quiet,
}

/// The lines between the quadrants: what counts as rising and as staying.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuadrantLines {
    /// 90th percentile of the baseline's velocities.
    pub velocity_p90: f64,
    /// Completion rate of the quality gate.
    pub completion: f64,
}

impl Quadrant {
    /// Of these rates; a value on a line is above it, as in the rules of decisions.
    pub fn of(velocity_30m: f64, completion_rate_30m: f64, lines: QuadrantLines) -> Self {
        match (velocity_30m >= lines.velocity_p90, completion_rate_30m >= lines.completion) {
            (true, true) => Self::Supernova,
            (true, false) => Self::Clickbait,
            (false, true) => Self::Steady,
            (false, false) => Self::Quiet,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_line_is_above_it() {
        let lines = QuadrantLines { velocity_p90: 0.2, completion: 0.55 };
        for (velocity, completion, quadrant) in [
            (0.2, 0.55, Quadrant::Supernova),
            (0.9, 0.99, Quadrant::Supernova),
            (0.2, 0.5499, Quadrant::Clickbait),
            (0.1999, 0.55, Quadrant::Steady),
            (0.1999, 0.5499, Quadrant::Quiet),
            (0.0, 0.0, Quadrant::Quiet),
        ] {
            assert_eq!(Quadrant::of(velocity, completion, lines), quadrant, "{velocity} {completion}");
        }
    }
}
