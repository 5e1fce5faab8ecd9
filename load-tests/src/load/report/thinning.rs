//! Fewer points with the same picture: M4 aggregation (Jugel, Jerzak, Hackenbroich, Markl: "M4: A Visualization-Oriented
//! Time Series Data Aggregation", VLDB 2014). Of each column of the paper the first, lowest, highest and last point are
//! kept; so a peak of one second in a run of hours still shows.

/// A point of a line; `None` breaks it.
pub(crate) type Point = (f64, Option<f64>);

/// At most four points for each of `columns` even spans of time up to `length_s`, gaps kept. Points are in order of time.
pub(crate) fn thinned(points: &[Point], length_s: f64, columns: usize) -> Vec<Point> {
    if points.len() <= columns * 4 || length_s <= 0.0 {
        return points.to_vec();
    }
    let column_of = |point: &Point| (point.0 / length_s * columns as f64).floor() as i64;
    let is_together = |a: &Point, b: &Point| a.1.is_some() == b.1.is_some() && column_of(a) == column_of(b);
    points.chunk_by(is_together).flat_map(telling_points).collect()
}

/// First, lowest, highest and last, in order, each once; of a gap one point.
fn telling_points(group: &[Point]) -> Vec<Point> {
    if group[0].1.is_none() {
        return vec![group[0]];
    }
    // No `None` is in this group.
    let value = |index: &usize| group[*index].1.unwrap_or(f64::NAN);
    let by_value = |a: &usize, b: &usize| value(a).total_cmp(&value(b));
    let lowest = (0..group.len()).min_by(by_value).unwrap_or(0);
    let highest = (0..group.len()).max_by(by_value).unwrap_or(0);
    let mut kept = vec![0, lowest, highest, group.len() - 1];
    kept.sort_unstable();
    kept.dedup();
    kept.into_iter().map(|index| group[index]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_points_stay_as_they_are() {
        let points = vec![(0.0, Some(1.0)), (1.0, None), (2.0, Some(3.0))];
        assert_eq!(thinned(&points, 2.0, 10), points);
    }

    #[test]
    fn peaks_edges_and_gaps_survive() {
        let mut points: Vec<Point> = (0..10_000).map(|index| (f64::from(index), Some(1.0))).collect();
        points[4321].1 = Some(99.0);
        points[4322].1 = Some(-5.0);
        points[7000].1 = None;
        let fewer = thinned(&points, 10_000.0, 100);
        assert!(fewer.len() <= 400 + 4, "{}", fewer.len());
        for index in [0, 4321, 4322, 7000, 9999] {
            assert!(fewer.contains(&points[index]), "{index}");
        }
        assert!(fewer.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
