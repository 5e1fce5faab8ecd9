//! The state of all seats at a block: who looks at what next, and when.
//!
//! Going on by one block plays out what happens in it. To be somewhere else at once, each seat plays out its session
//! from its begin.

use crate::audience::Device;
use crate::mix::mix64;
use crate::random::{KeyedRandom, Random};
use crate::sessions::Session;
use crate::spill::BLOCK_MS;
use crate::world::World;

/// One user is shown one video.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Impression {
    /// Since the log's start.
    pub(crate) at_ms: i64,
    pub(crate) user: u32,
    pub(crate) device: Device,
    /// A hash that no other impression has: everything else about it is drawn from it.
    pub(crate) key: u64,
}

impl Impression {
    /// The stream of what happens, which draws the video first.
    pub(crate) fn random(&self) -> KeyedRandom {
        KeyedRandom::of(self.key)
    }
}

/// All seats, before the first impression of a block.
pub(crate) struct Hall {
    block: i64,
    /// By seat: when its next impression comes, or its next slot begins (ms since the log's start). Apart from the
    /// other state, so that looking for seats that are due reads little memory.
    next_ms: Vec<i64>,
    seats: Vec<Seat>,
}

struct Seat {
    session: Session,
    /// Impressions that the session has had.
    shown: u64,
}

impl Hall {
    /// The hall before this block, which is not negative.
    pub(crate) fn at(world: &World, block: i64) -> Self {
        let from_ms = block * BLOCK_MS;
        let seats = world.sessions.seats();
        let mut hall = Self {
            block,
            next_ms: Vec::with_capacity(seats as usize),
            seats: Vec::with_capacity(seats as usize),
        };
        for number in 0..seats {
            let mut seat = Seat { session: world.sessions.session_at(number, from_ms), shown: 0 };
            let mut next_ms = seat.first_ms();
            while next_ms < from_ms {
                let spacing_ms = spacing_ms(world, seat.impression(next_ms));
                next_ms = seat.after(next_ms, spacing_ms);
            }
            hall.next_ms.push(next_ms);
            hall.seats.push(seat);
        }
        hall
    }

    /// The block that is played out next.
    pub(crate) fn block(&self) -> i64 {
        self.block
    }

    /// Plays out one block, by seat. `visit` says after how many ms the same viewer's next impression comes.
    pub(crate) fn play_block(&mut self, world: &World, mut visit: impl FnMut(Impression) -> u32) {
        let end_ms = (self.block + 1) * BLOCK_MS;
        for (number, (next_ms, seat)) in (0..).zip(self.next_ms.iter_mut().zip(&mut self.seats)) {
            while *next_ms < end_ms {
                if *next_ms >= seat.session.until_ms {
                    *seat = Seat { session: world.sessions.session_at(number, *next_ms), shown: 0 };
                    *next_ms = seat.first_ms();
                    continue;
                }
                let spacing_ms = visit(seat.impression(*next_ms));
                *next_ms = seat.after(*next_ms, spacing_ms);
            }
        }
        self.block += 1;
    }
}

impl Seat {
    fn impression(&self, at_ms: i64) -> Impression {
        let Session { user, device, key, .. } = self.session;
        Impression { at_ms, user, device, key: mix64(key ^ mix64(self.shown)) }
    }

    /// When the session's first impression comes, or the next slot when it has none.
    fn first_ms(&self) -> i64 {
        self.session.first_ms.min(self.session.until_ms)
    }

    /// Counts an impression; says when the next one comes, or the next slot.
    fn after(&mut self, at_ms: i64, spacing_ms: u32) -> i64 {
        self.shown += 1;
        (at_ms + i64::from(spacing_ms)).min(self.session.until_ms)
    }
}

fn spacing_ms(world: &World, impression: Impression) -> u32 {
    let mut random = impression.random();
    let video = world.catalogue.video(world.catalogue.draw(&mut random));
    // The planner draws the referral here.
    random.bits();
    world.laws.play_out(video, video.taste(), &mut random, |_| ())
}
