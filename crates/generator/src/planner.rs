//! Plans blocks once for all partitions' readers.
//!
//! A user's session crosses partitions, so a block is planned for all of them together. Readers that go on side by side
//! find each other's plans; plans are dropped when every partition has had them, or when too much waits. A reader that
//! is elsewhere gets a hall of its own.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::block_plan::BlockPlan;
use crate::hall::Hall;
use crate::world::World;

/// Plans that wait for readers take this much memory at most, in bytes (and always one plan).
const MAX_WAITING_BYTES: usize = 32 << 20;
/// Halls at different places; a reader more than that seeks again and again.
const MAX_HALLS: usize = 16;
/// Going on by so many blocks is cheaper than to enter a hall anew.
const FARTHEST_STEP_BLOCKS: i64 = 120;

/// Halls and the plans made by them.
#[derive(Default)]
pub(crate) struct Planner {
    /// The most recently used one last.
    halls: Vec<Hall>,
    plans: HashMap<i64, Waiting>,
    /// In the order of planning; a block whose plan is gone is skipped.
    order: VecDeque<i64>,
    waiting_bytes: usize,
}

struct Waiting {
    plan: Arc<BlockPlan>,
    bytes: usize,
    readers_to_come: i32,
}

impl Planner {
    /// What begins in a block, which is not negative.
    pub(crate) fn plan(&mut self, world: &World, block: i64) -> Arc<BlockPlan> {
        if let Some(waiting) = self.plans.get_mut(&block) {
            waiting.readers_to_come -= 1;
            let plan = waiting.plan.clone();
            if waiting.readers_to_come <= 0 {
                self.forget(block);
            }
            return plan;
        }
        let mut hall = self.hall_before(world, block);
        let plan = loop {
            let planned = hall.block();
            let plan = Arc::new(BlockPlan::of_next_block(world, &mut hall));
            let readers_to_come = world.config.partitions - i32::from(planned == block);
            self.keep(planned, &plan, readers_to_come);
            if planned == block {
                break plan;
            }
        };
        self.halls.push(hall);
        plan
    }

    /// Takes out the hall that gets to this block with the least work.
    fn hall_before(&mut self, world: &World, block: i64) -> Hall {
        let near = (0..self.halls.len())
            .filter(|&index| (0..=FARTHEST_STEP_BLOCKS).contains(&(block - self.halls[index].block())))
            .max_by_key(|&index| self.halls[index].block());
        if let Some(index) = near {
            return self.halls.remove(index);
        }
        let room = MAX_HALLS.min(world.config.partitions as usize);
        if self.halls.len() >= room {
            self.halls.remove(0);
        }
        Hall::at(world, block)
    }

    fn keep(&mut self, block: i64, plan: &Arc<BlockPlan>, readers_to_come: i32) {
        if readers_to_come <= 0 {
            return;
        }
        self.forget(block);
        let bytes = plan.bytes() + size_of::<Waiting>();
        self.waiting_bytes += bytes;
        self.plans.insert(block, Waiting { plan: plan.clone(), bytes, readers_to_come });
        self.order.push_back(block);
        while self.waiting_bytes > MAX_WAITING_BYTES && self.order.len() > 1 {
            let Some(oldest) = self.order.pop_front() else { break };
            self.forget(oldest);
        }
        // Plans that every partition has had leave their numbers behind.
        while self.order.front().is_some_and(|oldest| !self.plans.contains_key(oldest)) {
            self.order.pop_front();
        }
    }

    fn forget(&mut self, block: i64) {
        if let Some(gone) = self.plans.remove(&block) {
            self.waiting_bytes -= gone.bytes;
        }
    }
}
