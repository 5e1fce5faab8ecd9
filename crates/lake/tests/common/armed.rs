//! Failpoints of this process, armed for one test at a time.
#![allow(unreachable_pub, missing_docs)]

use fail::FailScenario;
use tokio::sync::{Mutex, MutexGuard};

/// One test at a time: failpoints belong to the process. `FailScenario` holds a lock, but not across an await.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

pub async fn turn() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().await
}

/// Disarms when dropped.
pub struct Armed(Option<FailScenario<'static>>);

impl Armed {
    pub fn with(point: &str, actions: &str) -> Self {
        let armed = Self(Some(FailScenario::setup()));
        fail::cfg(point, actions).unwrap();
        armed
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        if let Some(scenario) = self.0.take() {
            scenario.teardown();
        }
    }
}
