//! Decimal digits: how many there are, and what number they make.

const ONES: u64 = u64::MAX / 255;
const WORD_BYTES: usize = size_of::<u64>();
/// The most digits that fit an `i64` whatever they are.
const SURE_DIGITS: usize = 18;

/// How many digits stand at the front of `bytes`.
#[inline]
pub(crate) fn leading_digits(bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Some(word) = bytes[count..].first_chunk::<WORD_BYTES>() {
        // A digit becomes 0 to 9; adding 0x76 to anything greater sets its high bit or carries out of a set one.
        // Carries go upwards alone, so that the lowest mark is right.
        let distances = u64::from_le_bytes(*word) ^ (ONES * u64::from(b'0'));
        let marks = (distances.wrapping_add(ONES * 0x76) | distances) & (ONES << 7);
        if marks != 0 {
            return count + (marks.trailing_zeros() / u8::BITS) as usize;
        }
        count += WORD_BYTES;
    }
    count + bytes[count..].iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// The number that `text` writes with 1 to 18 digits and nothing else.
#[inline]
pub(crate) fn plain_number(text: &str) -> Option<i64> {
    let digits = text.as_bytes();
    if digits.is_empty() || digits.len() > SURE_DIGITS {
        return None;
    }
    let mut number = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + i64::from(digit);
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_ends_the_digits_or_does_not() {
        for byte in 0..=u8::MAX {
            for position in 0..20 {
                let mut bytes = vec![b'9'; 20];
                bytes[position] = byte;
                bytes[(position + 1) % 20] = byte;
                let expected = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
                assert_eq!(leading_digits(&bytes), expected, "{byte} at {position}");
            }
        }
        assert_eq!(leading_digits(b""), 0);
    }

    #[test]
    fn numbers_are_read_as_the_standard_library_reads_them() {
        for text in ["0", "007", "5400", "999999999999999999", "1770458400123"] {
            assert_eq!(plain_number(text), text.parse().ok(), "{text}");
        }
        for text in ["", "-1", "+1", "1.5", "1e3", "/", ":", "1 ", "é", "1000000000000000000"] {
            assert_eq!(plain_number(text), None, "{text}");
        }
    }
}
