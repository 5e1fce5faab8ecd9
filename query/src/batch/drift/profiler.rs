//! Profiles bodies one by one, in bounded memory, whatever they hold.
//!
//! Each profiler sees a part of the day; [`joined`] puts the parts together. Fields that the registry has are always counted
//! by name. Of other keys there is room for [`MAX_NEW_KEYS`]:
//!
//! - While they are fewer, which is nearly always, one pass is enough.
//! - Else [`joined`] says how often about each key was seen, and a second pass counts the most frequent by name
//!   ([`Profiler::second`]) and the values of all others together.
//!
//! Either way the result does not depend on the order of the bodies, nor on who saw which.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use pulselake_decode::walk_body;
use xxhash_rust::xxh3::xxh3_64;

use super::known::KnownField;
use super::names::cut;
use super::profile::{DayProfile, FieldProfile, Unlisted};
use super::sketch::KeySketch;

/// Keys that the registry does not have, counted by name.
pub const MAX_NEW_KEYS: usize = 4_096;
/// A longer key stands in the registry as its first part and a hash, and never gets a column.
pub const MAX_KEY_BYTES: usize = 200;

/// The most frequent first; then by hash.
type Rank = (Reverse<u32>, u64);

/// Which new keys are counted by name.
#[derive(Clone, Debug)]
enum Admission {
    /// Those that come first; the others go into the sketch.
    FirstCome(Option<KeySketch>),
    /// The most frequent ones.
    Ranked { frequencies: Arc<KeySketch>, admitted: BTreeMap<Rank, usize> },
}

#[derive(Clone, Debug)]
struct Tracked {
    key: Box<str>,
    known: Option<KnownField>,
    is_new: bool,
    profile: FieldProfile,
    /// The body that had it last, and where in that body's entries it is.
    seen_in: (u64, usize),
}

/// Counts what some of a day's bodies hold.
#[derive(Clone, Debug)]
pub struct Profiler {
    places: HashMap<Box<str>, usize>,
    tracked: Vec<Tracked>,
    new_keys: usize,
    max_new_keys: usize,
    admission: Admission,
    bodies: u64,
    overflow: Unlisted,
    no_object: Unlisted,
}

/// The bodies of a day, or why they have to be read once more.
#[derive(Debug)]
pub enum Joined {
    /// All is counted.
    Whole(DayProfile),
    /// There are more new keys than room: about how often each was seen, for [`Profiler::second`].
    TooManyKeys(Arc<KeySketch>),
}

impl Profiler {
    /// For the first pass. `registered`: the keys that the registry has.
    pub fn first<'a>(registered: impl IntoIterator<Item = &'a str>, max_new_keys: usize) -> Self {
        let mut profiler = Self {
            places: HashMap::new(),
            tracked: Vec::new(),
            new_keys: 0,
            max_new_keys,
            admission: Admission::FirstCome(None),
            bodies: 0,
            overflow: Unlisted::default(),
            no_object: Unlisted::default(),
        };
        for key in KnownField::ALL.map(KnownField::name).into_iter().chain(registered) {
            if !profiler.places.contains_key(key) {
                profiler.track(key, false);
            }
        }
        profiler
    }

    /// For the second pass over the same bodies.
    pub fn second<'a>(
        registered: impl IntoIterator<Item = &'a str>,
        max_new_keys: usize,
        frequencies: Arc<KeySketch>,
    ) -> Self {
        let admission = Admission::Ranked { frequencies, admitted: BTreeMap::new() };
        Self { admission, ..Self::first(registered, max_new_keys) }
    }

    /// Counts the bodies of a batch, each with its event's time (microseconds since the epoch).
    pub fn add_all<'a>(&mut self, bodies: impl IntoIterator<Item = (&'a str, i64)>) {
        let mut entries = Vec::new();
        let mut strangers = Vec::new();
        for (body, seen_us) in bodies {
            self.add(body, seen_us, &mut entries, &mut strangers);
        }
    }

    fn add<'a>(
        &mut self,
        body: &'a str,
        seen_us: i64,
        entries: &mut Vec<(usize, &'a str)>,
        strangers: &mut Vec<(Cow<'a, str>, &'a str)>,
    ) {
        entries.clear();
        strangers.clear();
        self.bodies += 1;
        let (places, tracked, number) = (&self.places, &mut self.tracked, self.bodies);
        let is_object = walk_body(body, |key, raw| {
            let listed = if key.len() > MAX_KEY_BYTES { Cow::Owned(short_key(&key)) } else { key };
            let Some(&place) = places.get(listed.as_ref()) else {
                strangers.push((listed, raw));
                return;
            };
            // Of equal keys the last one counts.
            let found = &mut tracked[place];
            if found.seen_in.0 == number {
                entries[found.seen_in.1].1 = raw;
            } else {
                found.seen_in = (number, entries.len());
                entries.push((place, raw));
            }
        });
        if !is_object {
            self.no_object.add(body, seen_us);
            return;
        }
        for (place, raw) in entries.drain(..) {
            self.tracked[place].add(raw, seen_us);
        }
        if !strangers.is_empty() {
            self.add_strangers(strangers, seen_us);
        }
    }

    /// Keys that were not tracked when the body was read.
    fn add_strangers(&mut self, strangers: &mut Vec<(Cow<'_, str>, &str)>, seen_us: i64) {
        // A stable sort, turned round: the last of equal keys is the first, which stays.
        strangers.reverse();
        strangers.sort_by(|(one, _), (other, _)| one.cmp(other));
        strangers.dedup_by(|(later, _), (kept, _)| later == kept);
        for (key, raw) in strangers.drain(..) {
            if let Some(place) = self.admit(&key) {
                self.tracked[place].add(raw, seen_us);
            } else if raw != "null" {
                self.overflow.add(&key, seen_us);
            }
        }
    }

    /// Where a new key is counted from now on; `None`: not by name.
    fn admit(&mut self, key: &str) -> Option<usize> {
        let hash = xxh3_64(key.as_bytes());
        let is_full = self.new_keys >= self.max_new_keys;
        match &mut self.admission {
            Admission::FirstCome(_) if !is_full => Some(self.track(key, true)),
            Admission::FirstCome(sketch) => {
                sketch.get_or_insert_default().add(hash, 1);
                None
            }
            Admission::Ranked { frequencies, admitted } => {
                let rank = (Reverse(frequencies.at_most(hash)), hash);
                if !is_full {
                    let place = self.tracked.len();
                    admitted.insert(rank, place);
                    return Some(self.track(key, true));
                }
                let last = admitted.last_entry().filter(|last| *last.key() > rank)?;
                let place = last.remove();
                admitted.insert(rank, place);
                self.replace(place, key);
                Some(place)
            }
        }
    }

    fn track(&mut self, key: &str, is_new: bool) -> usize {
        let place = self.tracked.len();
        self.tracked.push(Tracked::new(key, is_new));
        self.places.insert(key.into(), place);
        self.new_keys += usize::from(is_new);
        place
    }

    /// Gives the place of a less frequent key to `key`.
    fn replace(&mut self, place: usize, key: &str) {
        let loser = std::mem::replace(&mut self.tracked[place], Tracked::new(key, true));
        self.places.remove(&loser.key);
        self.places.insert(key.into(), place);
        self.overflow.add_field(&loser.key, &loser.profile);
    }
}

impl Tracked {
    fn new(key: &str, is_new: bool) -> Self {
        Self {
            key: key.into(),
            known: KnownField::of_name(key),
            is_new,
            profile: FieldProfile::unseen(),
            seen_in: (0, 0),
        }
    }

    fn add(&mut self, raw: &str, seen_us: i64) {
        self.profile.add(raw, seen_us);
        if let Some(known) = self.known
            && raw != "null"
            && !known.takes(raw)
        {
            self.profile.known_misfits += 1;
        }
    }
}

/// What a key that is too long is listed as: longer than any other key that is listed, so that it is none of those.
fn short_key(key: &str) -> String {
    format!("{}…{:016x}", cut(key, MAX_KEY_BYTES), xxh3_64(key.as_bytes()))
}

/// Puts the parts of a day together; all of one pass, with the same registered keys.
pub fn joined(parts: impl IntoIterator<Item = Profiler>) -> Joined {
    let mut day = DayProfile::default();
    let mut new_keys: BTreeMap<Box<str>, FieldProfile> = BTreeMap::new();
    let mut sketch: Option<KeySketch> = None;
    let mut frequencies = None;
    let mut max_new_keys = 0;
    for part in parts {
        day.events += part.bodies;
        day.overflow.merge(part.overflow);
        day.no_object.merge(part.no_object);
        max_new_keys = part.max_new_keys;
        for tracked in part.tracked.into_iter().filter(|tracked| tracked.profile.kinds.all() > 0) {
            match tracked.is_new {
                true => merge_into(new_keys.entry(tracked.key), tracked.profile),
                false => merge_into(day.fields.entry(tracked.key.into()), tracked.profile),
            }
        }
        match part.admission {
            Admission::FirstCome(None) => {}
            Admission::FirstCome(Some(counted)) => match &mut sketch {
                None => sketch = Some(counted),
                Some(sum) => sum.merge(&counted),
            },
            Admission::Ranked { frequencies: shared, .. } => frequencies = Some(shared),
        }
    }
    if let Some(counted) = frequencies {
        keep_most_frequent(&mut new_keys, &counted, max_new_keys, &mut day.overflow);
    } else if sketch.is_some() || new_keys.len() > max_new_keys {
        let mut sum = sketch.unwrap_or_default();
        for (key, field) in &new_keys {
            sum.add(xxh3_64(key.as_bytes()), field.kinds.all());
        }
        return Joined::TooManyKeys(Arc::new(sum));
    }
    day.fields.extend(new_keys.into_iter().map(|(key, field)| (key.into(), field)));
    Joined::Whole(day)
}

fn merge_into<K: Ord>(entry: std::collections::btree_map::Entry<'_, K, FieldProfile>, more: FieldProfile) {
    match entry {
        std::collections::btree_map::Entry::Vacant(vacant) => {
            vacant.insert(more);
        }
        std::collections::btree_map::Entry::Occupied(mut known) => known.get_mut().merge(more),
    }
}

/// Each part has kept the best of what it saw, so the best of all are among these.
fn keep_most_frequent(
    new_keys: &mut BTreeMap<Box<str>, FieldProfile>,
    frequencies: &KeySketch,
    most: usize,
    overflow: &mut Unlisted,
) {
    let mut ranks: Vec<(Rank, Box<str>)> = new_keys
        .keys()
        .map(|key| {
            let hash = xxh3_64(key.as_bytes());
            ((Reverse(frequencies.at_most(hash)), hash), key.clone())
        })
        .collect();
    ranks.sort_unstable();
    for (_, key) in ranks.into_iter().skip(most) {
        if let Some(loser) = new_keys.remove(&key) {
            overflow.add_field(&key, &loser);
        }
    }
}

#[cfg(test)]
#[path = "profiler_tests.rs"]
mod tests;
