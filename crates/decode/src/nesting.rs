//! Remembers which brackets are open, one bit each: nesting costs neither stack nor, below 65 levels, memory.

const BITS: usize = u64::BITS as usize;

/// The open objects and arrays, outermost first.
#[derive(Debug, Default)]
pub(crate) struct Nesting {
    depth: usize,
    /// The innermost levels, the last one in the lowest bit: 1 for an object, 0 for an array.
    bits: u64,
    /// The levels outside those, 64 a word.
    outer: Vec<u64>,
}

impl Nesting {
    /// How many are open.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Whether the innermost one is an object; false when none is open.
    pub(crate) fn in_object(&self) -> bool {
        self.bits & 1 == 1
    }

    /// Opens one.
    pub(crate) fn open(&mut self, is_object: bool) {
        if self.depth != 0 && self.depth.is_multiple_of(BITS) {
            self.outer.push(self.bits);
        }
        self.bits = self.bits << 1 | u64::from(is_object);
        self.depth += 1;
    }

    /// Closes the innermost one; nothing happens when none is open.
    pub(crate) fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.bits >>= 1;
        if self.depth != 0 && self.depth.is_multiple_of(BITS) {
            self.bits = self.outer.pop().unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_behaves_as_a_vector_of_booleans(steps in prop::collection::vec((0..3_u8, any::<bool>()), 0..600)) {
            let (mut nesting, mut vector) = (Nesting::default(), Vec::new());
            for (step, is_object) in steps {
                if step == 0 {
                    nesting.close();
                    vector.pop();
                } else {
                    nesting.open(is_object);
                    vector.push(is_object);
                }
                prop_assert_eq!(nesting.depth(), vector.len());
                prop_assert_eq!(nesting.in_object(), vector.last().copied().unwrap_or_default());
            }
        }
    }
}
