//! One process's way to the table: reads it, keeps what it read, and commits changes on the snapshot that they were judged on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use parking_lot::RwLock;
use pulselake_commit::back_off;
use pulselake_decision::{Action, ActionState};
use pulselake_lake::{Lake, UpsertError};
use pulselake_model::tables::LakeTable;
use tokio::sync::{Mutex, broadcast};
use uuid::Uuid;

use crate::{ActionError, ActionFilter, NotAdmitted, QueueView, QueuedAction, actions_of, admit, batch_of};

const TABLE: LakeTable = LakeTable::ActionQueue;

/// Changes that a slow subscriber may be behind before it loses the oldest.
const CHANGES_KEPT: usize = 4_096;

/// Bounds of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// How long an action that is closed stays in memory after its decision; open ones always do. Longer than the pause
    /// between two actions of a video, or that pause is not kept. The table keeps all.
    pub keep: Duration,
    /// How long one call goes on when others keep committing before it.
    pub patience: Duration,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self { keep: Duration::from_secs(8 * 24 * 3_600), patience: Duration::from_secs(20) }
    }
}

/// What somebody wants of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// The state that it is to come into.
    pub to: ActionState,
    /// The state that it must be in; `None`: any that leads to the wanted one.
    pub expected: Option<ActionState>,
    /// Now, microseconds since the epoch.
    pub at_us: i64,
}

/// An action that is new, or has changed.
#[derive(Clone, Debug)]
pub struct QueueChange {
    /// As it is now.
    pub action: Arc<QueuedAction>,
    /// Whether this process has committed it; else it was found in the table.
    pub is_own: bool,
}

/// What a call of [`ActionQueue::decide`] has come to.
#[derive(Clone, Debug, Default)]
pub struct Decided {
    /// The new actions.
    pub added: Vec<QueuedAction>,
    /// The actions that were overdue.
    pub expired: Vec<QueuedAction>,
    /// Decisions that did not enter the queue.
    pub not_admitted: HashMap<NotAdmitted, u64>,
    /// How often it was decided anew, because somebody else had committed.
    pub retries: u32,
}

/// See the crate. Cheap to clone; all clones share one memory.
#[derive(Clone)]
pub struct ActionQueue {
    shared: Arc<Shared>,
}

struct Shared {
    lake: Lake,
    settings: QueueSettings,
    view: RwLock<Arc<QueueView>>,
    /// Whose turn it is to read or commit: one call after the other.
    turn: Mutex<Turn>,
    changes: broadcast::Sender<QueueChange>,
}

/// What the next call has to know of the one before.
struct Turn {
    /// Whether the table may have changed beside what is in memory: a commit was under way whose end nobody has seen.
    is_doubtful: bool,
}

/// How a commit ended that did not fail.
enum Landing {
    Landed,
    Moved,
}

impl ActionQueue {
    /// Reads the table, which has to exist.
    ///
    /// # Errors
    /// As [`ActionError`] says: with a catalog that does not answer, or rows that this build can't read.
    pub async fn open(lake: Lake, settings: QueueSettings) -> Result<Self, ActionError> {
        let (changes, _) = broadcast::channel(CHANGES_KEPT);
        let keep_us = i64::try_from(settings.keep.as_micros()).unwrap_or(i64::MAX);
        let shared = Shared {
            lake,
            settings,
            view: RwLock::new(Arc::new(QueueView::new(None, Vec::new(), keep_us))),
            turn: Mutex::new(Turn { is_doubtful: true }),
            changes,
        };
        let queue = Self { shared: Arc::new(shared) };
        queue.refresh().await?;
        Ok(queue)
    }

    /// The queue as it was read or committed last.
    pub fn view(&self) -> Arc<QueueView> {
        self.shared.view.read().clone()
    }

    /// The actions that pass the filter, the one that was decided last first; as last read or committed.
    pub fn list(&self, filter: &ActionFilter) -> Vec<QueuedAction> {
        self.view().list(filter).iter().map(|action| action.as_ref().clone()).collect()
    }

    /// The action with this id; as last read or committed.
    pub fn get(&self, action_id: Uuid) -> Option<QueuedAction> {
        self.view().get(action_id).map(|action| action.as_ref().clone())
    }

    /// The action of a video whose window is the latest; as last read or committed.
    pub fn of_video(&self, video_id: &str) -> Option<QueuedAction> {
        self.view().of_video(video_id).map(|action| action.as_ref().clone())
    }

    /// Hears of every action that is new or has changed from now on, whoever changed it; of those of other processes when
    /// the table is read next. Who is too slow loses the oldest, and is told.
    pub fn subscribe(&self) -> broadcast::Receiver<QueueChange> {
        self.shared.changes.subscribe()
    }

    /// Reads the table again if somebody else has committed to it. Whether it was read.
    ///
    /// # Errors
    /// As [`ActionQueue::open`].
    pub async fn refresh(&self) -> Result<bool, ActionError> {
        let mut turn = self.shared.turn.lock().await;
        self.refresh_in(&mut turn).await
    }

    /// Brings an action into another state, and answers once that is committed.
    ///
    /// # Errors
    /// What [`QueuedAction::changed`] says of the action as it is in the table now; [`ActionError::Unavailable`] where the
    /// table can't be read or written, or the answer to the commit was lost.
    pub async fn change(&self, action_id: Uuid, change: StateChange) -> Result<QueuedAction, ActionError> {
        let mut turn = self.shared.turn.lock().await;
        let deadline = Instant::now() + self.shared.settings.patience;
        // A refusal counts only when it is about the newest state of the table.
        let mut is_newest = false;
        let mut retries = 0;
        loop {
            if turn.is_doubtful {
                self.refresh_in(&mut turn).await?;
                is_newest = true;
            }
            let view = self.view();
            let found = view.get(action_id).ok_or(ActionError::NotFound { action_id });
            let row = match found.and_then(|action| action.changed(change)) {
                Ok(row) => row,
                Err(refusal) if is_newest => return Err(refusal),
                Err(_) => {
                    self.refresh_in(&mut turn).await?;
                    is_newest = true;
                    continue;
                }
            };
            match self.commit(&mut turn, &view, std::slice::from_ref(&row)).await? {
                Landing::Landed => return Ok(row),
                Landing::Moved => self.wait_for_another_try(&mut retries, deadline).await?,
            }
        }
    }

    /// Lets `make` decide on the queue as it is in the table now, overdue actions expired, and commits what enters, with the
    /// expiries, in one commit on that very snapshot. Where somebody else commits meanwhile, the table is read again and
    /// `make` is called again: nothing is carried over. Without anything to commit, nothing is.
    ///
    /// `at_us`: now, microseconds since the epoch.
    ///
    /// # Errors
    /// As [`ActionQueue::change`], but for what concerns a single action.
    pub async fn decide(
        &self,
        at_us: i64,
        mut make: impl FnMut(&QueueView) -> Vec<Action>,
    ) -> Result<Decided, ActionError> {
        let mut turn = self.shared.turn.lock().await;
        let deadline = Instant::now() + self.shared.settings.patience;
        let mut retries = 0;
        loop {
            self.refresh_in(&mut turn).await?;
            let view = self.view();
            let expired = view.expired(at_us);
            let after_expiry = match expired.is_empty() {
                true => view.clone(),
                false => Arc::new(view.with(view.snapshot_id(), expired.iter().cloned())),
            };
            let (added, not_admitted) = admit(&after_expiry, make(&after_expiry), at_us);
            let rows: Vec<QueuedAction> = expired.iter().chain(&added).cloned().collect();
            if rows.is_empty() {
                return Ok(Decided { not_admitted, retries, ..Decided::default() });
            }
            match self.commit(&mut turn, &view, &rows).await? {
                Landing::Landed => return Ok(Decided { added, expired, not_admitted, retries }),
                Landing::Moved => self.wait_for_another_try(&mut retries, deadline).await?,
            }
        }
    }

    async fn wait_for_another_try(&self, retries: &mut u32, deadline: Instant) -> Result<(), ActionError> {
        *retries += 1;
        if Instant::now() >= deadline {
            let reason = format!("others committed to it {retries} times in a row before this change");
            return Err(ActionError::Unavailable { reason });
        }
        back_off(*retries).await;
        Ok(())
    }

    async fn commit(
        &self,
        turn: &mut Turn,
        view: &QueueView,
        rows: &[QueuedAction],
    ) -> Result<Landing, ActionError> {
        let batch = batch_of(rows)?;
        // Until the outcome is known; also when this future is dropped before.
        turn.is_doubtful = true;
        match self.shared.lake.upsert_rows(TABLE, &batch, view.snapshot_id()).await {
            Ok(landed) if landed.is_own_snapshot => {
                self.show(view.with(landed.snapshot_id, rows.iter().cloned()), true);
                turn.is_doubtful = false;
                Ok(Landing::Landed)
            }
            Ok(_) => {
                // It is in the table, and others may have committed on top of it.
                self.read(turn, true).await?;
                Ok(Landing::Landed)
            }
            Err(UpsertError::Moved { .. }) => Ok(Landing::Moved),
            Err(error) => Err(error.into()),
        }
    }

    async fn refresh_in(&self, turn: &mut Turn) -> Result<bool, ActionError> {
        if !turn.is_doubtful {
            let table = self.shared.lake.load(TABLE).await?;
            if table.metadata().current_snapshot_id() == self.view().snapshot_id() {
                return Ok(false);
            }
        }
        self.read(turn, false).await?;
        Ok(true)
    }

    /// Reads the whole table, as one snapshot.
    async fn read(&self, turn: &mut Turn, is_own: bool) -> Result<(), ActionError> {
        let snapshot = self.shared.lake.view(TABLE).await?;
        let mut batches = snapshot.read(&[]).await?;
        let mut actions = Vec::new();
        while let Some(batch) = batches.try_next().await? {
            actions.extend(actions_of(&batch)?);
        }
        let empty = QueueView::new(None, Vec::new(), self.view().keep_us());
        self.show(empty.with(snapshot.snapshot_id(), actions), is_own);
        turn.is_doubtful = false;
        Ok(())
    }

    /// From here on this is what the queue is; subscribers hear of what is new in it.
    fn show(&self, view: QueueView, is_own: bool) {
        let after = Arc::new(view);
        let before = std::mem::replace(&mut *self.shared.view.write(), after.clone());
        let mut changed = after.changed_since(&before);
        // The earliest change first.
        changed.sort_by_key(|action| action.state_updated_at_us);
        for action in changed {
            // Nobody listens: nobody has to know.
            let _ = self.shared.changes.send(QueueChange { action, is_own });
        }
    }
}

impl std::fmt::Debug for ActionQueue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let view = self.view();
        formatter
            .debug_struct("ActionQueue")
            .field("snapshot_id", &view.snapshot_id())
            .field("actions", &view.len())
            .finish_non_exhaustive()
    }
}
