//! Which partition of a scan reads which file.

/// Puts things of these sizes into at most `parts` groups of about the same size: the largest first, each into the group
/// that has least so far. Groups name the things by their places, in ascending order; none is empty, except that there is
/// one empty group where there is nothing.
pub(super) fn balance(sizes: &[u64], parts: usize) -> Vec<Vec<usize>> {
    let count = parts.clamp(1, sizes.len().max(1));
    let mut groups: Vec<(u64, Vec<usize>)> = vec![(0, Vec::new()); count];
    let mut largest_first: Vec<usize> = (0..sizes.len()).collect();
    largest_first.sort_by_key(|&place| std::cmp::Reverse(sizes[place]));
    for place in largest_first {
        // A thing of size 0 takes a place too, or all of them would go into one group.
        if let Some(least) = groups.iter_mut().min_by_key(|(size, places)| (*size, places.len())) {
            least.0 += sizes[place];
            least.1.push(place);
        }
    }
    let in_order = |(_, mut places): (u64, Vec<usize>)| {
        places.sort_unstable();
        places
    };
    groups.into_iter().map(in_order).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_large_ones_are_apart() {
        assert_eq!(balance(&[10, 1, 1, 1, 7], 2), [vec![0], vec![1, 2, 3, 4]]);
        assert_eq!(balance(&[], 4), [Vec::<usize>::new()]);
    }

    proptest! {
        #[test]
        fn each_thing_is_in_one_group_and_none_is_empty(sizes in prop::collection::vec(0..1_000_u64, 1..50), parts in 1..9_usize) {
            let groups = balance(&sizes, parts);
            prop_assert!(groups.len() <= parts);
            prop_assert!(groups.iter().all(|group| !group.is_empty()));
            let mut all: Vec<usize> = groups.into_iter().flatten().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..sizes.len()).collect::<Vec<_>>());
        }
    }
}
