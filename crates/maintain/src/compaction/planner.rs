//! Which files are rewritten together, and in which order: a pure function of facts, policy and the time.
//!
//! What it promises:
//! - No file is in two groups; a group has files of one partition, and at most the policy's bytes (or is one file).
//! - A group is worth it: fewer files come out than go in, or deletes are applied, or rows sorted that were not.
//!   So there is a fixed point, where the plan is empty.
//! - A delete file is dropped with the group that holds every file it applies to, and by itself when there is none.
//! - Order: closed partitions before open ones, then those with most files.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::facts::{FileFact, ManifestCounts, TableFacts};
use super::policy::{ClosedRule, TablePolicy};

/// Files to be rewritten together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Index of the partition; `None` for a group that only drops delete files.
    pub partition: Option<usize>,
    /// Indices of the data files, in the order in which their rows came.
    pub files: Vec<usize>,
    /// Indices of the delete files that go with them.
    pub drop_deletes: Vec<usize>,
    /// Size of the data files, bytes.
    pub bytes: u64,
    /// Whether its partition is still growing.
    pub is_open: bool,
}

/// What to do with a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactionPlan {
    /// Groups, the most urgent first.
    pub groups: Vec<Group>,
    /// Whether the manifests should be written anew afterwards.
    pub rewrite_manifests: bool,
}

impl CompactionPlan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && !self.rewrite_manifests
    }
}

/// Plans the compaction of a table. `now_us`: microseconds since the epoch.
pub fn plan(facts: &TableFacts, policy: &TablePolicy, now_us: i64) -> CompactionPlan {
    let mut by_partition: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, file) in facts.files.iter().enumerate() {
        if file.is_rewritable && facts.partitions[file.partition].is_current_spec {
            by_partition.entry(file.partition).or_default().push(index);
        }
    }
    let mut groups = Vec::new();
    for (partition, files) in by_partition {
        let is_open = !is_closed(facts.partitions[partition].ends_at_us, policy.closed, now_us);
        let view = Partition { facts, policy, is_open };
        for group in view.groups(&files) {
            let bytes = group.iter().map(|&index| facts.files[index].bytes).sum();
            groups.push(Group {
                partition: Some(partition),
                files: group,
                drop_deletes: Vec::new(),
                bytes,
                is_open,
            });
        }
    }
    groups.sort_by_key(|group| (group.is_open, std::cmp::Reverse(group.files.len()), group.partition));
    let orphans = assign_deletes(facts, &mut groups);
    if !orphans.is_empty() {
        groups.push(Group {
            partition: None,
            files: Vec::new(),
            drop_deletes: orphans,
            bytes: 0,
            is_open: false,
        });
    }
    CompactionPlan { groups, rewrite_manifests: manifests_are_bad(&facts.manifests, policy) }
}

/// Whether a partition has so many small files, or a file so many delete files, that compaction should not wait for its
/// hour.
pub fn is_urgent(facts: &TableFacts, policy: &TablePolicy) -> bool {
    let enough = policy.urgent_files.max(2);
    let mut small: HashMap<usize, usize> = HashMap::new();
    let mut has_many_deletes = false;
    let is_ours = |file: &&FileFact| file.is_rewritable && facts.partitions[file.partition].is_current_spec;
    for file in facts.files.iter().filter(is_ours) {
        *small.entry(file.partition).or_default() += usize::from(file.bytes < policy.small_bytes());
        // A stream of deletions alone adds no data files.
        has_many_deletes |= file.deletes.len() >= enough;
    }
    has_many_deletes || small.values().any(|count| *count >= enough)
}

/// Whether a partition gets no more rows, but for stragglers.
fn is_closed(ends_at_us: Option<i64>, rule: ClosedRule, now_us: i64) -> bool {
    match (rule, ends_at_us) {
        (ClosedRule::Always, _) | (_, None) => true,
        (ClosedRule::AfterItsEnd(lag), Some(end_us)) => {
            let lag_us = i64::try_from(lag.as_micros()).unwrap_or(i64::MAX);
            end_us.saturating_add(lag_us) <= now_us
        }
    }
}

/// One partition under a policy.
struct Partition<'a> {
    facts: &'a TableFacts,
    policy: &'a TablePolicy,
    is_open: bool,
}

impl Partition<'_> {
    fn groups(&self, files: &[usize]) -> Vec<Vec<usize>> {
        let small = files.iter().filter(|&&index| self.is_small(self.file(index))).count();
        let packs = !self.is_open || small >= self.policy.urgent_files.max(2);
        let mut pool: Vec<usize> = files
            .iter()
            .copied()
            .filter(|&index| self.must_go(self.file(index)) || (packs && self.is_small(self.file(index))))
            .collect();
        let folds_whole = self.folds_whole(files, &pool);
        if folds_whole {
            pool = files.to_vec();
        }
        // As their rows came: a table without a sort order keeps it.
        pool.sort_by_key(|&index| (self.file(index).sequence_number, index));
        if folds_whole {
            return vec![pool];
        }
        self.bins(&pool).into_iter().filter_map(|bin| self.worthwhile(bin)).collect()
    }

    fn file(&self, index: usize) -> &FileFact {
        &self.facts.files[index]
    }

    fn is_small(&self, file: &FileFact) -> bool {
        file.bytes < self.policy.small_bytes()
    }

    /// Whether a file is rewritten even alone.
    fn must_go(&self, file: &FileFact) -> bool {
        let deleted: u64 = file.deletes.iter().map(|&delete| self.facts.deletes[delete].records).sum();
        let is_heavy = deleted as f64 > file.records as f64 * self.policy.max_delete_ratio;
        // Each of them has to be read with the file, however little it deletes.
        let has_many_deletes = file.deletes.len() >= self.policy.urgent_files.max(2);
        is_heavy || has_many_deletes || (file.needs_sorting && !self.is_open)
    }

    /// Rows that fold may lie in any files: a closed partition with unfolded files is rewritten whole if it fits.
    fn folds_whole(&self, files: &[usize], pool: &[usize]) -> bool {
        let unfolded = pool.iter().any(|&index| self.file(index).needs_sorting);
        let bytes: u64 = files.iter().map(|&index| self.file(index).bytes).sum();
        self.policy.fold.is_some()
            && !self.is_open
            && unfolded
            && bytes <= self.policy.max_group_bytes
            && files.len() <= self.policy.max_group_files
    }

    fn bins(&self, pool: &[usize]) -> Vec<Vec<usize>> {
        let mut bins: Vec<Vec<usize>> = Vec::new();
        let mut bytes = 0;
        for &index in pool {
            let size = self.file(index).bytes;
            match bins.last_mut() {
                Some(bin)
                    if bytes + size <= self.policy.max_group_bytes
                        && bin.len() < self.policy.max_group_files =>
                {
                    bin.push(index);
                    bytes += size;
                }
                _ => {
                    bins.push(vec![index]);
                    bytes = size;
                }
            }
        }
        bins
    }

    /// The files of a bin that are worth a rewrite.
    fn worthwhile(&self, bin: Vec<usize>) -> Option<Vec<usize>> {
        let bytes: u64 = bin.iter().map(|&index| self.file(index).bytes).sum();
        let expected_outputs = bytes.div_ceil(self.policy.target_file_bytes.max(1)).max(1) as usize;
        let largest = bin.iter().map(|&index| self.file(index).bytes).max().unwrap_or(0);
        let least = match self.is_open || 4 * largest <= 3 * bytes {
            true => 2,
            false => self.policy.min_input_files.max(2),
        };
        if bin.len() >= least && expected_outputs < bin.len() {
            return Some(bin);
        }
        let forced: Vec<usize> = bin.into_iter().filter(|&index| self.must_go(self.file(index))).collect();
        (!forced.is_empty()).then_some(forced)
    }
}

/// Adds to each group the delete files that apply to nothing but its files; returns those that apply to nothing at all.
fn assign_deletes(facts: &TableFacts, groups: &mut [Group]) -> Vec<usize> {
    let mut targets: HashMap<usize, usize> = HashMap::new();
    for file in &facts.files {
        for &delete in &file.deletes {
            *targets.entry(delete).or_default() += 1;
        }
    }
    for group in groups {
        let mut here: BTreeMap<usize, usize> = BTreeMap::new();
        for &index in &group.files {
            for &delete in &facts.files[index].deletes {
                *here.entry(delete).or_default() += 1;
            }
        }
        let all_here = here.into_iter().filter(|(delete, count)| targets.get(delete) == Some(count));
        group.drop_deletes = all_here.map(|(delete, _)| delete).collect();
    }
    let applied: HashSet<usize> = targets.into_keys().collect();
    (0..facts.deletes.len()).filter(|delete| !applied.contains(delete)).collect()
}

/// Whether there are many more manifests than needed, or their files lie across partitions so that a reader of one
/// partition opens most of them.
fn manifests_are_bad(counts: &ManifestCounts, policy: &TablePolicy) -> bool {
    let needed = counts.bytes.div_ceil(policy.manifest_bytes.max(1)).max(1) as usize;
    let too_many = counts.manifests > policy.max_manifests.max(2 * needed);
    // Ordered by partition, each manifest but the first shares at most one partition with the one before.
    let pairs_if_ordered = counts.partitions + counts.manifests.saturating_sub(1);
    let scattered = counts.manifests >= 4 && counts.pairs > 2 * pairs_if_ordered;
    too_many || scattered
}

#[cfg(test)]
mod tests;
