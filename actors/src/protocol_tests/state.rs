//! One state of the exhaustive test, as numbers of interned parts, and the steps that lead on from it.

use std::hash::{Hash, Hasher};

use super::owner::BronzeWay;
use super::table::Delivery;

/// How many of each rare step may still come: what bounds the search beside its depth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Processes that die.
    pub kills: u8,
    /// Commits whose answer is lost, before or after they are applied.
    pub unknown: u8,
    /// Rollbacks of a table to any of its snapshots.
    pub rollbacks: u8,
    /// Snapshots by somebody who knows no ledger.
    pub strangers: u8,
    /// Times that retention moves on.
    pub retentions: u8,
    /// Changes of the decoder.
    pub decoders: u8,
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    pub tables: [u32; 3],
    /// By rising number: owners are alike but for what they hold.
    pub owners: [u32; 2],
    /// Requests that may still land, by rising number; 0 is none.
    pub on_its_way: [u32; 2],
    pub low: u8,
    pub is_strict: bool,
    pub budget: Budget,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let pair = |one: u32, other: u32| u64::from(one) << 32 | u64::from(other);
        let Budget { kills, unknown, rollbacks, strangers, retentions, decoders } = self.budget;
        hasher.write_u64(pair(self.tables[0], self.tables[1]));
        hasher.write_u64(pair(self.tables[2], self.owners[0]));
        hasher.write_u64(pair(self.owners[1], self.on_its_way[0]));
        hasher.write_u64(pair(
            self.on_its_way[1],
            u32::from_le_bytes([self.low, u8::from(self.is_strict), kills, unknown]),
        ));
        hasher.write_u32(u32::from_le_bytes([rollbacks, strangers, retentions, decoders]));
    }
}

impl State {
    /// The same with its interchangeable parts in order.
    pub fn sorted(mut self) -> Self {
        self.owners.sort_unstable();
        self.on_its_way.sort_unstable();
        self
    }
}

/// What happens next. An owner that flushes reads first, up to where it likes: what it reads concerns nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Read {
        owner: usize,
        records: u8,
    },
    FlushBronze {
        owner: usize,
        records: u8,
        way: BronzeWay,
    },
    FlushGold {
        owner: usize,
        records: u8,
        delivery: Delivery,
    },
    CloseIdle {
        owner: usize,
        records: u8,
    },
    /// A process is killed and started again, or a stopped one is started.
    Start {
        owner: usize,
    },
    /// A request on its way arrives: its sender may be dead, and its successor at work.
    Land {
        index: usize,
    },
    RollTo {
        table: usize,
        snapshot: usize,
    },
    Rewind {
        table: usize,
    },
    Stranger {
        table: usize,
    },
    Retain {
        low: u8,
    },
    /// Everybody is started with the other decoder.
    ChangeDecoder,
}
