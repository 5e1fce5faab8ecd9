//! Lets a bounded number of files be read at once, the first ones first: decompressors are big.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};

/// The gate that reading threads pass.
pub(super) struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
    tickets: AtomicU64,
}

struct GateState {
    free: usize,
    waiting: BTreeSet<(i32, u64)>,
}

/// A place inside; given back when dropped.
pub(super) struct Pass {
    gate: Arc<Gate>,
}

impl Gate {
    pub(super) fn new(places: usize) -> Self {
        Self {
            state: Mutex::new(GateState { free: places.max(1), waiting: BTreeSet::new() }),
            changed: Condvar::new(),
            tickets: AtomicU64::new(0),
        }
    }

    /// Waits for a place; `None` when `is_cancelled` was set meanwhile (followed by [`Gate::look_again`]).
    pub(super) fn enter(self: &Arc<Self>, partition: i32, is_cancelled: &AtomicBool) -> Option<Pass> {
        let ticket = (partition, self.tickets.fetch_add(1, Ordering::Relaxed));
        let mut state = self.state.lock();
        state.waiting.insert(ticket);
        loop {
            if is_cancelled.load(Ordering::Acquire) {
                state.waiting.remove(&ticket);
                self.changed.notify_all();
                return None;
            }
            if state.free > 0 && state.waiting.first() == Some(&ticket) {
                state.free -= 1;
                state.waiting.remove(&ticket);
                self.changed.notify_all();
                return Some(Pass { gate: self.clone() });
            }
            self.changed.wait(&mut state);
        }
    }

    /// Wakes the waiting threads to look at their cancellation.
    pub(super) fn look_again(&self) {
        let _state = self.state.lock();
        self.changed.notify_all();
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.state.lock().free += 1;
        self.gate.changed.notify_all();
    }
}
