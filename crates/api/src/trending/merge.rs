//! Lists of several processes as one. A video's events are in one partition, and a partition is one process's: no video
//! is in two lists, unless a partition has just moved; then the list with the more impressions has it.

use std::collections::HashMap;

use super::Order;
use crate::parameters::MAX_LIMIT;
use crate::video::Video;

/// The best of several lists by `order`, best first, ties by id, with their places.
pub(crate) fn merged(order: Order, lists: impl IntoIterator<Item = Vec<Video>>) -> Vec<Video> {
    let mut by_id: HashMap<String, Video> = HashMap::new();
    for video in lists.into_iter().flatten() {
        let is_better =
            by_id.get(&video.video_id).is_none_or(|other| other.impressions_30m < video.impressions_30m);
        if is_better {
            by_id.insert(video.video_id.clone(), video);
        }
    }
    let mut videos: Vec<Video> = by_id.into_values().collect();
    videos.sort_unstable_by(|left, right| {
        let by_value = order.value(right).total_cmp(&order.value(left));
        by_value.then_with(|| left.video_id.cmp(&right.video_id))
    });
    videos.truncate(MAX_LIMIT as usize);
    for (video, place) in videos.iter_mut().zip(1..) {
        video.rank = Some(place);
    }
    videos
}

#[cfg(test)]
mod tests {
    use pulselake_model::WindowCounters;

    use super::*;
    use crate::quadrant::QuadrantLines;

    const LINES: QuadrantLines = QuadrantLines { velocity_p90: 0.2, completion: 0.55 };

    fn video(id: &str, impressions: i64, likes: i64) -> Video {
        let sums = WindowCounters { by_type: [impressions, 0, 0, likes, 0, 0], watch_time_sum_ms: 0 };
        Video::of_sums(id.to_owned(), &sums, (None, None), None, LINES, 0)
    }

    fn places(videos: &[Video]) -> Vec<(Option<u32>, &str)> {
        videos.iter().map(|video| (video.rank, video.video_id.as_str())).collect()
    }

    #[test]
    fn lists_are_merged_by_value_then_id() {
        let own = vec![video("c", 100, 50), video("a", 100, 10)];
        let peers = vec![video("b", 100, 10), video("d", 100, 60)];
        let all = merged(Order::Velocity, [own.clone(), peers.clone()]);
        assert_eq!(places(&all), [(Some(1), "d"), (Some(2), "c"), (Some(3), "a"), (Some(4), "b")]);
        assert_eq!(merged(Order::Velocity, [peers, own]), all, "in whatever order they come");
    }

    #[test]
    fn a_video_that_two_have_comes_once() {
        let all = merged(Order::Impressions, [vec![video("a", 10, 0)], vec![video("a", 300, 0)]]);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].impressions_30m, 300);
    }

    #[test]
    fn a_merged_list_has_its_bound() {
        let many = |prefix: &str| (0..400).map(|index| video(&format!("{prefix}{index}"), 1, 0)).collect();
        assert_eq!(merged(Order::Velocity, [many("a"), many("b")]).len(), 500);
    }
}
