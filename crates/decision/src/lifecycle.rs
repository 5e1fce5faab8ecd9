//! What becomes of an action: its states, and which may follow which.
//!
//! ```text
//!   PENDING ──► ACKED ──► DONE
//!      │          │
//!      └────┬─────┘
//!           ▼
//!    EXPIRED or HOLD
//! ```
//! DONE, EXPIRED and HOLD are where an action stays. To the same state again is no transition: whoever changes a state says
//! which one it comes from (compare-and-set), and learns that somebody else was there before.

use std::fmt;
use std::str::FromStr;

/// Where an action stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ActionState {
    /// Decided; nobody has taken it up.
    Pending,
    /// Somebody has taken it up.
    Acked,
    /// It was carried out.
    Done,
    /// Its time was over before it was carried out.
    Expired,
    /// Somebody has stopped it.
    Hold,
}

/// A transition that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an action that is {from} can't become {to}; allowed: {}", allowed_text(.from))]
pub struct NotAllowed {
    /// The state it is in.
    pub from: ActionState,
    /// The state it was to have.
    pub to: ActionState,
}

/// A text that names no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no state of an action; allowed: PENDING, ACKED, DONE, EXPIRED, HOLD")]
pub struct UnknownState {
    /// The text.
    pub found: String,
}

impl ActionState {
    /// Every state.
    pub const ALL: [ActionState; 5] = [Self::Pending, Self::Acked, Self::Done, Self::Expired, Self::Hold];

    /// `state` in tables, topics and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Acked => "ACKED",
            Self::Done => "DONE",
            Self::Expired => "EXPIRED",
            Self::Hold => "HOLD",
        }
    }

    /// The states that may follow.
    pub fn successors(self) -> &'static [ActionState] {
        match self {
            Self::Pending => &[Self::Acked, Self::Expired, Self::Hold],
            Self::Acked => &[Self::Done, Self::Expired, Self::Hold],
            Self::Done | Self::Expired | Self::Hold => &[],
        }
    }

    /// Whether something may still become of it. Only such an action expires.
    pub fn is_open(self) -> bool {
        !self.successors().is_empty()
    }
}

impl fmt::Display for ActionState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for ActionState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| UnknownState { found: text.to_owned() })
    }
}

/// Whether an action may go from one state to another.
///
/// # Errors
/// [`NotAllowed`], with what is.
pub fn change(from: ActionState, to: ActionState) -> Result<(), NotAllowed> {
    if from.successors().contains(&to) { Ok(()) } else { Err(NotAllowed { from, to }) }
}

/// Whether an action's time is over: from `expires_at_us` on it must not be carried out any more.
pub fn is_expired(expires_at_us: i64, now_us: i64) -> bool {
    now_us >= expires_at_us
}

fn allowed_text(from: &ActionState) -> String {
    let names: Vec<&str> = from.successors().iter().map(|state| state.as_str()).collect();
    if names.is_empty() { "nothing, it stays as it is".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use ActionState::{Acked, Done, Expired, Hold, Pending};

    #[test]
    fn the_transitions_are_the_contracts_and_no_others() {
        let allowed = [
            (Pending, Acked),
            (Acked, Done),
            (Pending, Expired),
            (Pending, Hold),
            (Acked, Expired),
            (Acked, Hold),
        ];
        for from in ActionState::ALL {
            for to in ActionState::ALL {
                assert_eq!(change(from, to).is_ok(), allowed.contains(&(from, to)), "{from} to {to}");
            }
        }
        assert_eq!(ActionState::ALL.map(ActionState::is_open), [true, true, false, false, false]);
    }

    #[test]
    fn names_are_the_contracts_and_read_back() {
        let names = ActionState::ALL.map(ActionState::as_str);
        assert_eq!(names, ["PENDING", "ACKED", "DONE", "EXPIRED", "HOLD"]);
        for state in ActionState::ALL {
            assert_eq!(state.to_string().parse(), Ok(state));
        }
        let error = "pending".parse::<ActionState>().unwrap_err().to_string();
        assert_eq!(
            error,
            "\"pending\" is no state of an action; allowed: PENDING, ACKED, DONE, EXPIRED, HOLD"
        );
    }

    #[test]
    fn a_refusal_says_what_is_allowed() {
        assert_eq!(
            change(Pending, Done).unwrap_err().to_string(),
            "an action that is PENDING can't become DONE; allowed: ACKED, EXPIRED, HOLD"
        );
        assert_eq!(
            change(Done, Acked).unwrap_err().to_string(),
            "an action that is DONE can't become ACKED; allowed: nothing, it stays as it is"
        );
    }

    #[test]
    fn it_expires_at_its_moment() {
        assert_eq!([99, 100, 101].map(|now_us| is_expired(100, now_us)), [false, true, true]);
    }

    proptest! {
        /// Whatever is tried in whatever order: what is final stays, and nothing is taken up or expires twice.
        #[test]
        fn nothing_leads_out_of_a_final_state(
            tried in proptest::collection::vec(proptest::sample::select(&ActionState::ALL[..]), 0..30),
        ) {
            let mut passed = vec![Pending];
            for to in tried {
                let from = passed[passed.len() - 1];
                if change(from, to).is_ok() {
                    passed.push(to);
                }
            }
            let finals = passed.iter().filter(|state| !state.is_open()).count();
            prop_assert!(finals <= 1, "{:?}", passed);
            prop_assert!(passed.len() <= 3, "{:?}", passed);
            prop_assert!(!passed.contains(&Done) || passed.contains(&Acked), "done without having been taken up");
        }
    }
}
