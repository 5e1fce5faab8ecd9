//! A table in memory: snapshots with their ancestry, the property, and a commit that decides as the lake's does.

use std::rc::Rc;

use pulselake_ledger::{
    Advance, AncestryVerdict, Decision, Ledger, PartitionLedger, apply_advances, decide, judge_ancestry,
    rewound,
};
use pulselake_model::WindowCounters;

use super::{CLUSTER, TOPIC};

/// One row of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// Bronze and quarantine: the record's offset.
    Record(i64),
    /// Gold.
    Window { video: u8, minute: i64, revision: i64, events: i64, watch_time_sum_ms: i64 },
}

impl Row {
    /// A row of gold.
    pub fn window(video: u8, minute: i64, revision: i64, counters: &WindowCounters) -> Self {
        let (events, watch_time_sum_ms) = (counters.events(), counters.watch_time_sum_ms);
        Self::Window { video, minute, revision, events, watch_time_sum_ms }
    }
}

/// A commit on its way.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which table.
    pub table: usize,
    /// Unique among the commits that anybody can still mistake it for.
    pub commit_id: u32,
    /// Of the decoder that judged.
    pub fingerprint: String,
    /// The ledger's part.
    pub advance: Advance,
    /// The rows.
    pub rows: Vec<Row>,
}

/// How an attempt and its answer travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// Applied, and the answer arrives.
    Answered,
    /// Applied, and the answer is lost.
    AnswerLost,
    /// Not applied yet: it lands later, or never.
    OnItsWay,
}

/// What the committer knows after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempted {
    /// It is in the table.
    Done,
    /// Nobody knows; the same request is tried again.
    Unknown,
    /// Another owner was faster.
    Fenced,
    /// The table was rolled back.
    Stopped,
}

#[derive(Clone, Debug)]
struct Snapshot {
    parent: Option<usize>,
    /// None in a snapshot of somebody else.
    ledger: Option<Rc<str>>,
    rows: Rc<[Row]>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Table {
    property: Option<Rc<str>>,
    snapshots: Vec<Snapshot>,
    current: Option<usize>,
    /// Highest `seq` and commit id that the table ever had.
    highest_seq: i64,
    highest_commit_id: u32,
    was_rolled_back: bool,
}

impl Table {
    /// The ledger, where property and ancestry agree on it.
    pub fn trusted(&self) -> Result<Option<Ledger>, AncestryVerdict> {
        match judge_ancestry(self.property.as_deref(), self.nearest_ledger()).unwrap() {
            AncestryVerdict::Fresh => Ok(None),
            AncestryVerdict::Consistent(ledger) | AncestryVerdict::TrustProperty(ledger) => Ok(Some(ledger)),
            rolled_back => Err(rolled_back),
        }
    }

    /// The partition's entry that belongs to the rows of the current snapshot, whatever the property says.
    pub fn entry_of_rows(&self) -> PartitionLedger {
        let ledger = self.nearest_ledger().map(|text| Ledger::parse(text).unwrap());
        ledger.and_then(|ledger| ledger.partition(TOPIC, 0).cloned()).unwrap_or_default()
    }

    /// Rows of the current snapshot.
    pub fn rows(&self) -> &[Row] {
        self.current.map_or(&[], |at| &self.snapshots[at].rows)
    }

    /// Offsets among the rows, rising.
    pub fn offsets(&self) -> Vec<i64> {
        let mut offsets: Vec<i64> = self
            .rows()
            .iter()
            .filter_map(|row| if let Row::Record(offset) = row { Some(*offset) } else { None })
            .collect();
        offsets.sort_unstable();
        offsets
    }

    /// The highest commit id that it ever saw.
    pub fn highest_commit_id(&self) -> u32 {
        self.highest_commit_id
    }

    /// One attempt at a commit, on the table as it is now.
    pub fn attempt(&mut self, request: &Request, delivery: Delivery) -> Attempted {
        let Ok(head) = self.trusted() else { return Attempted::Stopped };
        let commit_id = request.commit_id.to_string();
        match decide(head.as_ref(), &commit_id, std::slice::from_ref(&request.advance)) {
            Decision::Fenced(_) => return Attempted::Fenced,
            Decision::AlreadyThere => return Attempted::Done,
            Decision::Commit => {}
        }
        if delivery != Delivery::OnItsWay {
            self.land(request);
        }
        if delivery == Delivery::Answered { Attempted::Done } else { Attempted::Unknown }
    }

    /// The swap itself, on the base that the decision was made on.
    pub fn land(&mut self, request: &Request) {
        let head = self.trusted().unwrap();
        let after = apply_advances(
            head.as_ref(),
            CLUSTER,
            &request.fingerprint,
            &request.commit_id.to_string(),
            std::slice::from_ref(&request.advance),
        );
        self.raise_seq(&after);
        self.highest_commit_id = self.highest_commit_id.max(request.commit_id);
        let mut rows = [self.rows(), &request.rows].concat();
        rows.sort_unstable();
        self.push(Some(after.to_json().into()), rows.into());
    }

    /// A snapshot by somebody who knows no ledger (a compaction, say): the rows stay, the property too.
    pub fn commit_by_a_stranger(&mut self) {
        let rows = self.rows().into();
        self.snapshots.push(Snapshot { parent: self.current, ledger: None, rows });
        self.current = Some(self.snapshots.len() - 1);
    }

    /// Snapshots that it can be rolled back (or forward) to.
    pub fn snapshots_to_roll_to(&self) -> impl Iterator<Item = usize> + use<> {
        let current = self.current;
        (0..self.snapshots.len()).filter(move |at| Some(*at) != current)
    }

    /// As any Iceberg tool does it: the current snapshot changes, the property stays.
    pub fn roll_to(&mut self, snapshot: usize) {
        self.current = Some(snapshot);
        self.was_rolled_back = true;
    }

    /// Rolls back along the ancestry to the newest snapshot whose entry fits; false where none does.
    pub fn roll_back_to(&mut self, fits: impl Fn(&PartitionLedger) -> bool) -> bool {
        while let Some(at) = self.current {
            self.current = self.snapshots[at].parent;
            if self.current.is_some() && fits(&self.entry_of_rows()) {
                self.was_rolled_back = true;
                return true;
            }
        }
        false
    }

    /// Whether anybody ever did.
    pub fn was_rolled_back(&self) -> bool {
        self.was_rolled_back
    }

    /// Whether only a rewind helps.
    pub fn needs_rewind(&self) -> bool {
        self.trusted().is_err()
    }

    /// `pulselake ledger rewind`.
    pub fn rewind(&mut self) {
        let Some(text) = self.nearest_ledger() else { return };
        let found = Ledger::parse(text).unwrap();
        let texts = self.snapshots.iter().filter_map(|snapshot| snapshot.ledger.as_deref());
        let known: Vec<Ledger> = texts.map(|other| Ledger::parse(other).unwrap()).collect();
        let to = rewound(&found, known.iter());
        self.raise_seq(&to);
        let rows = self.rows().into();
        self.push(Some(to.to_json().into()), rows);
    }

    /// Forgets what only a rollback can ask for.
    pub fn forget_history(&mut self) {
        if self.needs_rewind() {
            return;
        }
        let nearest = self.nearest_ledger().map(Rc::from);
        let Some(at) = self.current.take() else { return };
        self.snapshots = vec![Snapshot { parent: None, ledger: nearest, ..self.snapshots[at].clone() }];
        self.current = Some(0);
    }

    /// No `seq` is given out twice, whatever was rolled back: an owner from before would take it for its own base.
    fn raise_seq(&mut self, ledger: &Ledger) {
        let seq = ledger.partition(TOPIC, 0).map_or(0, |entry| entry.seq);
        assert!(seq > self.highest_seq, "seq {seq} after {}: it has to rise for ever", self.highest_seq);
        self.highest_seq = seq;
    }

    fn push(&mut self, ledger: Option<Rc<str>>, rows: Rc<[Row]>) {
        self.property = ledger.clone();
        self.snapshots.push(Snapshot { parent: self.current, ledger, rows });
        self.current = Some(self.snapshots.len() - 1);
    }

    fn nearest_ledger(&self) -> Option<&str> {
        let mut at = self.current;
        while let Some(snapshot) = at.map(|index| &self.snapshots[index]) {
            if let Some(ledger) = &snapshot.ledger {
                return Some(ledger);
            }
            at = snapshot.parent;
        }
        None
    }
}
