//! How often each video is shown: Zipf's law, and drawing from any weights in constant time.

/// The share of impressions that the top fifth of the videos gets.
const HEAD_SHARE: f64 = 0.8;

/// The exponent `s` for which the weights `rank^-s` of `videos` ranks give the top 20 % of them 80 % of the mass.
pub(crate) fn zipf_exponent(videos: u32) -> f64 {
    let head = videos.div_ceil(5);
    let head_share = |exponent: f64| zipf_mass(head, exponent) / zipf_mass(videos, exponent);
    // So few videos that the "top fifth" is most of them: no skew is needed.
    if head_share(0.0) >= HEAD_SHARE {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, 8.0);
    for _ in 0..40 {
        let middle = (low + high) / 2.0;
        if head_share(middle) < HEAD_SHARE {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The weight of a rank, counted from 1.
pub(crate) fn zipf_weight(rank: u32, exponent: f64) -> f64 {
    libm::pow(f64::from(rank), -exponent)
}

/// Sum of the weights of ranks 1 to `ranks`: the first hundred exactly, the rest as the integral that they approach.
fn zipf_mass(ranks: u32, exponent: f64) -> f64 {
    let exact = ranks.min(100);
    let head: f64 = (1..=exact).map(|rank| zipf_weight(rank, exponent)).sum();
    if ranks == exact {
        return head;
    }
    let (from, to) = (f64::from(exact) + 0.5, f64::from(ranks) + 0.5);
    let rest = 1.0 - exponent;
    let tail = if rest.abs() < 1e-9 {
        libm::log(to / from)
    } else {
        (libm::pow(to, rest) - libm::pow(from, rest)) / rest
    };
    head + tail
}

/// One slot of an alias table: keep the slot for draws below `keep_below`, else take `alias`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AliasSlot {
    pub(crate) keep_below: u32,
    pub(crate) alias: u32,
}

/// Vose's alias table of these weights (not negative, at least one above 0).
pub(crate) fn alias_slots(weights: &[f64]) -> Vec<AliasSlot> {
    let total: f64 = weights.iter().sum();
    let mut scaled: Vec<f64> = weights.iter().map(|weight| weight * weights.len() as f64 / total).collect();
    // A slot that is never given an alias keeps every draw: it is its own alias.
    let mut slots: Vec<AliasSlot> =
        (0..weights.len() as u32).map(|own| AliasSlot { keep_below: u32::MAX, alias: own }).collect();
    let (mut small, mut large): (Vec<usize>, Vec<usize>) =
        (0..weights.len()).partition(|&slot| scaled[slot] < 1.0);
    while let (Some(&poor), Some(&rich)) = (small.last(), large.last()) {
        small.pop();
        slots[poor] = AliasSlot { keep_below: (scaled[poor] * 4_294_967_296.0) as u32, alias: rich as u32 };
        scaled[rich] -= 1.0 - scaled[poor];
        if scaled[rich] < 1.0 {
            large.pop();
            small.push(rich);
        }
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_videos_has_four_fifths_of_the_mass() {
        for videos in [100, 1_000, 10_000, 200_000] {
            let exponent = zipf_exponent(videos);
            let mass = |ranks: u32| (1..=ranks).map(|rank| zipf_weight(rank, exponent)).sum::<f64>();
            let share = mass(videos / 5) / mass(videos);
            assert!((share - 0.8).abs() < 1e-3, "{videos} videos: {share}");
        }
        assert_eq!(zipf_exponent(1), 0.0);
    }

    #[test]
    fn alias_slots_give_back_the_weights() {
        let weights = [0.5, 3.0, 0.0, 1.25, 7.0, 1e-6];
        let slots = alias_slots(&weights);
        let mut mass = [0.0; 6];
        for (own, slot) in slots.iter().enumerate() {
            let keep =
                if slot.alias == own as u32 { 1.0 } else { f64::from(slot.keep_below) / 4_294_967_296.0 };
            mass[own] += keep;
            mass[slot.alias as usize] += 1.0 - keep;
        }
        for (weight, given) in weights.iter().zip(mass) {
            assert!((weight / weights.iter().sum::<f64>() - given / 6.0).abs() < 1e-8);
        }
    }
}
