//! Sightings of ids in the order in which they were made.
//!
//! Promise: a sighting takes 20 bytes and one bit, in chunks that are taken as the ring grows and given back as it
//! drains, so that it never doubles; times are kept to the microsecond, whatever lies between them.

use std::collections::VecDeque;
use std::iter;

/// Sightings in a chunk: as many as fit 5 KiB, which is a size class of the allocator.
pub(super) const CHUNK_SIGHTINGS: usize = 254;

const WORDS: usize = CHUNK_SIGHTINGS.div_ceil(64);

/// Columns, because a key beside its time would be padded from 20 to 32 bytes.
#[derive(Clone)]
struct Chunk {
    ids: [u128; CHUNK_SIGHTINGS],
    /// The low 32 bits of each stream time.
    times_low: [u32; CHUNK_SIGHTINGS],
    superseded: [u64; WORDS],
}

impl Chunk {
    fn is_superseded(&self, slot: usize) -> bool {
        self.superseded[slot / 64] >> (slot % 64) & 1 == 1
    }
}

/// Neighbouring sightings whose stream times have the same high 32 bits (71 minutes).
#[derive(Clone)]
struct Era {
    time_high: i64,
    sightings: usize,
}

/// One sighting of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sighting {
    /// Numbers rise by one from sighting to sighting, and wrap around.
    pub number: u32,
    pub id: u128,
    pub stream_time_us: i64,
    /// Whether the id has been sighted again since.
    pub superseded: bool,
}

/// See the module.
#[derive(Clone, Default)]
pub(super) struct SightingRing {
    chunks: VecDeque<Box<Chunk>>,
    /// The chunk that was drained last: in a steady state nothing is allocated.
    spare: Option<Box<Chunk>>,
    /// Number of the front chunk's first slot.
    chunk_number: u32,
    /// Slots of the front chunk that have been drained.
    drained: usize,
    len: usize,
    superseded: usize,
    eras: VecDeque<Era>,
}

impl SightingRing {
    /// An empty ring whose first sighting has this number.
    pub(super) fn starting_at(number: u32) -> Self {
        Self { chunk_number: number, ..Self::default() }
    }

    /// Number of the next sighting.
    pub(super) fn next_number(&self) -> u32 {
        self.chunk_number.wrapping_add((self.drained + self.len) as u32)
    }

    /// Sightings of ids that have been sighted again since.
    pub(super) fn superseded(&self) -> usize {
        self.superseded
    }

    /// Adds a sighting with number [`Self::next_number`].
    #[inline]
    pub(super) fn push(&mut self, id: u128, stream_time_us: i64) {
        let end = self.drained + self.len;
        if end == self.chunks.len() * CHUNK_SIGHTINGS {
            let chunk = self.cleared_chunk();
            self.chunks.push_back(chunk);
        }
        let slot = end % CHUNK_SIGHTINGS;
        let Some(chunk) = self.chunks.back_mut() else { return };
        chunk.ids[slot] = id;
        chunk.times_low[slot] = stream_time_us as u32;
        self.len += 1;
        let time_high = stream_time_us >> 32;
        match self.eras.back_mut() {
            Some(era) if era.time_high == time_high => era.sightings += 1,
            _ => self.eras.push_back(Era { time_high, sightings: 1 }),
        }
    }

    /// Stream time (µs) of the oldest sighting.
    #[inline]
    pub(super) fn oldest_us(&self) -> Option<i64> {
        let (chunk, era) = (self.chunks.front()?, self.eras.front()?);
        Some(whole_time(era.time_high, chunk.times_low[self.drained]))
    }

    /// Takes the oldest sighting out.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Sighting> {
        let (chunk, era) = (self.chunks.front()?, self.eras.front_mut()?);
        let slot = self.drained;
        let oldest = Sighting {
            number: self.chunk_number.wrapping_add(slot as u32),
            id: chunk.ids[slot],
            stream_time_us: whole_time(era.time_high, chunk.times_low[slot]),
            superseded: chunk.is_superseded(slot),
        };
        self.superseded -= usize::from(oldest.superseded);
        self.len -= 1;
        era.sightings -= 1;
        if era.sightings == 0 {
            self.eras.pop_front();
        }
        self.drained += 1;
        // A chunk that is empty before it is full goes too: whatever is in front holds a sighting.
        if self.drained == CHUNK_SIGHTINGS || self.len == 0 {
            self.spare = self.chunks.pop_front();
            self.chunk_number = self.chunk_number.wrapping_add(self.drained as u32);
            self.drained = 0;
        }
        Some(oldest)
    }

    /// The id of a sighting that is in the ring.
    #[inline]
    pub(super) fn id_at(&self, number: u32) -> u128 {
        let (chunk, slot) = self.at(number);
        self.chunks[chunk].ids[slot]
    }

    /// Notes that the id of a sighting in the ring has been sighted again.
    #[inline]
    pub(super) fn supersede(&mut self, number: u32) {
        let (chunk, slot) = self.at(number);
        self.chunks[chunk].superseded[slot / 64] |= 1 << (slot % 64);
        self.superseded += 1;
    }

    /// Ids of the `most` oldest sightings, or of fewer: two chunks are looked into.
    pub(super) fn oldest_ids(&self, most: usize) -> impl Iterator<Item = &u128> {
        let mut chunks = self.chunks.iter();
        let first = chunks.next().map_or(&[][..], |chunk| &chunk.ids[self.drained..]);
        let second = chunks.next().map_or(&[][..], |chunk| &chunk.ids[..]);
        first.iter().chain(second).take(most.min(self.len))
    }

    /// The sightings, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Sighting> {
        let times_high = self.eras.iter().flat_map(|era| iter::repeat_n(era.time_high, era.sightings));
        let first_number = self.chunk_number.wrapping_add(self.drained as u32);
        self.slots().zip(times_high).zip(0_u32..).map(move |(((chunk, slot), time_high), index)| Sighting {
            number: first_number.wrapping_add(index),
            id: chunk.ids[slot],
            stream_time_us: whole_time(time_high, chunk.times_low[slot]),
            superseded: chunk.is_superseded(slot),
        })
    }

    fn slots(&self) -> impl Iterator<Item = (&Chunk, usize)> {
        let all = self.chunks.iter().flat_map(|chunk| (0..CHUNK_SIGHTINGS).map(move |slot| (&**chunk, slot)));
        all.skip(self.drained).take(self.len)
    }

    fn at(&self, number: u32) -> (usize, usize) {
        let offset = number.wrapping_sub(self.chunk_number) as usize;
        (offset / CHUNK_SIGHTINGS, offset % CHUNK_SIGHTINGS)
    }

    fn cleared_chunk(&mut self) -> Box<Chunk> {
        let Some(mut chunk) = self.spare.take() else {
            return Box::new(Chunk {
                ids: [0; CHUNK_SIGHTINGS],
                times_low: [0; CHUNK_SIGHTINGS],
                superseded: [0; WORDS],
            });
        };
        chunk.superseded = [0; WORDS];
        chunk
    }

    /// Bytes allocated.
    #[cfg(test)]
    pub(super) fn allocated_bytes(&self) -> usize {
        let chunks = self.chunks.len() + usize::from(self.spare.is_some());
        chunks * size_of::<Chunk>()
            + self.chunks.capacity() * size_of::<Box<Chunk>>()
            + self.eras.capacity() * size_of::<Era>()
    }
}

fn whole_time(time_high: i64, time_low: u32) -> i64 {
    time_high << 32 | i64::from(time_low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_fills_its_size_class() {
        assert_eq!(size_of::<Chunk>(), 5 * 1_024);
    }

    #[test]
    fn what_goes_in_comes_out_in_order_over_chunks_eras_and_the_wrap_of_numbers() {
        let times = [i64::MIN, -1, 0, 1, u32::MAX as i64, 1 << 32, 1 << 40, i64::MAX];
        let mut ring = SightingRing::starting_at(u32::MAX - 300);
        for (index, time) in times.iter().flat_map(|time| iter::repeat_n(*time, 150)).enumerate() {
            let number = ring.next_number();
            ring.push(index as u128, time);
            assert_eq!(ring.id_at(number), index as u128);
            if index % 3 == 0 {
                ring.supersede(number);
            }
        }
        let listed: Vec<Sighting> = ring.iter().collect();
        let popped: Vec<Sighting> = iter::from_fn(|| {
            let oldest_us = ring.oldest_us();
            let sighting = ring.pop();
            assert_eq!(oldest_us, sighting.map(|sighting| sighting.stream_time_us));
            sighting
        })
        .collect();
        assert_eq!(listed, popped);
        assert_eq!(popped.len(), times.len() * 150);
        for (index, sighting) in popped.iter().enumerate() {
            assert_eq!(sighting.number, (u32::MAX - 300).wrapping_add(index as u32));
            assert_eq!(sighting.id, index as u128);
            assert_eq!(sighting.stream_time_us, times[index / 150]);
            assert_eq!(sighting.superseded, index % 3 == 0);
        }
        assert_eq!(ring.superseded(), 0);
    }

    #[test]
    fn a_chunk_taken_again_has_forgotten_what_was_superseded() {
        let mut ring = SightingRing::default();
        for id in 0..5 * CHUNK_SIGHTINGS as u128 {
            let number = ring.next_number();
            ring.push(id, 0);
            if id < 2 * CHUNK_SIGHTINGS as u128 {
                ring.supersede(number);
            }
            if id >= 100 {
                ring.pop();
            }
        }
        assert_eq!(ring.superseded(), 0);
        assert!(ring.iter().all(|sighting| !sighting.superseded));
        assert_eq!(ring.iter().count(), 100);
        let oldest: Vec<u128> = ring.iter().map(|sighting| sighting.id).take(40).collect();
        assert!(ring.oldest_ids(40).eq(&oldest));
    }
}
