//! Which files are rewritten together: a pure rule.
//!
//! A file that holds the id is rewritten. A delete file that holds it (equality deletes name their keys) can only go
//! when no live file is left that it applies to, so all those are rewritten in the same commit. What does not hang
//! together so is cut into commits of bounded size: a small one seldom loses against compaction.

use std::collections::BTreeMap;

/// A live data file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub bytes: u64,
    /// Whether it holds the id.
    pub is_dirty: bool,
    /// Which of the delete files that hold the id apply to it.
    pub dirty_deletes: Vec<usize>,
}

/// Files of one commit, by their places in the input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub files: Vec<usize>,
    pub deletes: Vec<usize>,
}

/// Groups of about `max_bytes` at most; what hangs together stays together whatever its size. `dirty_deletes`: how many
/// delete files hold the id.
pub(super) fn group(candidates: &[Candidate], dirty_deletes: usize, max_bytes: u64) -> Vec<Group> {
    // Each delete's component is named by its smallest delete.
    let mut component: Vec<usize> = (0..dirty_deletes).collect();
    for candidate in candidates {
        if let Some(first) = candidate.dirty_deletes.first() {
            for other in &candidate.dirty_deletes[1..] {
                let (left, right) = (root(&component, *first), root(&component, *other));
                component[left.max(right)] = left.min(right);
            }
        }
    }
    let mut together: BTreeMap<usize, (Group, u64)> = BTreeMap::new();
    for delete in 0..dirty_deletes {
        together.entry(root(&component, delete)).or_default().0.deletes.push(delete);
    }
    let mut parts: Vec<(Group, u64)> = Vec::new();
    for (place, candidate) in candidates.iter().enumerate() {
        match candidate.dirty_deletes.first() {
            Some(delete) => {
                let (part, bytes) = together.entry(root(&component, *delete)).or_default();
                part.files.push(place);
                *bytes += candidate.bytes;
            }
            None if candidate.is_dirty => {
                parts.push((Group { files: vec![place], deletes: Vec::new() }, candidate.bytes));
            }
            None => {}
        }
    }
    parts.extend(together.into_values());
    let mut groups: Vec<(Group, u64)> = Vec::new();
    for (part, bytes) in parts {
        match groups.last_mut() {
            Some((open, open_bytes)) if *open_bytes + bytes <= max_bytes => {
                open.files.extend(part.files);
                open.deletes.extend(part.deletes);
                *open_bytes += bytes;
            }
            _ => groups.push((part, bytes)),
        }
    }
    groups.into_iter().map(|(found, _)| found).collect()
}

fn root(component: &[usize], start: usize) -> usize {
    let mut at = start;
    while component[at] != at {
        at = component[at];
    }
    at
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn file(bytes: u64, is_dirty: bool, dirty_deletes: &[usize]) -> Candidate {
        Candidate { bytes, is_dirty, dirty_deletes: dirty_deletes.to_vec() }
    }

    fn of(files: &[usize], deletes: &[usize]) -> Group {
        Group { files: files.to_vec(), deletes: deletes.to_vec() }
    }

    #[test]
    fn named_cases() {
        let cases: [(&str, Vec<Candidate>, usize, Vec<Group>); 7] = [
            ("nothing", vec![], 0, vec![]),
            ("clean files stay", vec![file(1, false, &[])], 0, vec![]),
            (
                "small ones share a commit",
                vec![file(4, true, &[]), file(4, true, &[])],
                0,
                vec![of(&[0, 1], &[])],
            ),
            (
                "big ones do not",
                vec![file(8, true, &[]), file(8, true, &[])],
                0,
                vec![of(&[0], &[]), of(&[1], &[])],
            ),
            (
                "a delete takes clean files along",
                vec![file(1, false, &[0]), file(1, false, &[])],
                1,
                vec![of(&[0], &[0])],
            ),
            (
                "deletes of one file go together, whatever the size",
                vec![file(20, false, &[1, 0]), file(20, true, &[1])],
                2,
                vec![of(&[0, 1], &[0, 1])],
            ),
            ("a delete that applies to nothing goes alone", vec![], 1, vec![of(&[], &[0])]),
        ];
        for (name, candidates, deletes, expected) in cases {
            assert_eq!(group(&candidates, deletes, 10), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn all_that_must_go_goes_once_and_no_delete_is_torn(
            rows in prop::collection::vec((1_u64..20, any::<bool>(), prop::collection::btree_set(0_usize..6, 0..3)), 0..30),
        ) {
            let candidates: Vec<Candidate> = rows
                .into_iter()
                .map(|(bytes, is_dirty, deletes)| {
                    Candidate { bytes, is_dirty, dirty_deletes: deletes.into_iter().collect() }
                })
                .collect();
            let groups = group(&candidates, 6, 25);
            let files: Vec<usize> = groups.iter().flat_map(|found| found.files.clone()).collect();
            let unique: BTreeSet<usize> = files.iter().copied().collect();
            prop_assert_eq!(unique.len(), files.len());
            let wanted: BTreeSet<usize> = (0..candidates.len())
                .filter(|place| candidates[*place].is_dirty || !candidates[*place].dirty_deletes.is_empty())
                .collect();
            prop_assert_eq!(unique, wanted);
            let mut deletes: Vec<usize> = groups.iter().flat_map(|found| found.deletes.clone()).collect();
            deletes.sort_unstable();
            prop_assert_eq!(deletes, (0..6).collect::<Vec<_>>());
            for found in &groups {
                for place in &found.files {
                    prop_assert!(candidates[*place].dirty_deletes.iter().all(|delete| found.deletes.contains(delete)));
                }
            }
        }
    }
}
