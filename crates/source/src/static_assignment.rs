//! The assignment of a source that never rebalances: everything, once.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::AssignmentEvent;

/// Gives all partitions in its first event and then waits for ever.
pub(crate) struct StaticAssignment {
    state: Mutex<State>,
    closed: Condvar,
}

struct State {
    first: Option<Vec<i32>>,
    is_closed: bool,
}

impl StaticAssignment {
    pub(crate) fn new(partitions: Vec<i32>) -> Self {
        Self {
            state: Mutex::new(State { first: Some(partitions), is_closed: false }),
            closed: Condvar::new(),
        }
    }

    pub(crate) fn next_event(&self, wait: Duration) -> Option<AssignmentEvent> {
        let mut state = self.state.lock();
        if let Some(partitions) = state.first.take() {
            return Some(AssignmentEvent::Assigned(partitions));
        }
        self.closed.wait_while_for(&mut state, |now| !now.is_closed, wait);
        None
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().is_closed
    }

    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.closed.notify_all();
    }
}
