//! Decimal numbers, exactly: out of JSON's source text and out of Connect's bytes.

/// 10^38 is the highest power that an `i128` holds.
const MAX_POWER: i64 = 38;
const MIN_POWER: i64 = -MAX_POWER;
/// What Connect's bytes and scales may be at most: some 9,800 digits.
const MAX_BYTES: usize = 4_096;
const MAX_SCALE: u32 = 10_000;
const DECIMAL_BASE: u64 = 1_000_000_000;
const DECIMAL_BASE_DIGITS: usize = 9;

/// The number that `text` writes as JSON does, times 10^`scale`; `None` when that is not a whole number or too great.
pub(crate) fn unscaled(text: &str, scale: i8) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (is_negative, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let mut number = 0_i128;
    for byte in whole.bytes().chain(fraction.bytes()) {
        let digit = byte.is_ascii_digit().then(|| i128::from(byte - b'0'))?;
        number = number.checked_mul(10)?.checked_add(digit)?;
    }
    let power = i64::from(scale) + i64::from(exponent) - i64::try_from(fraction.len()).ok()?;
    let magnitude = match power {
        _ if number == 0 => 0,
        0..=MAX_POWER => number.checked_mul(ten_to(power))?,
        MIN_POWER..0 if number % ten_to(-power) == 0 => number / ten_to(-power),
        _ => return None,
    };
    Some(if is_negative { -magnitude } else { magnitude })
}

/// 10^`power`, which is 0 to 38.
fn ten_to(power: i64) -> i128 {
    (0..power).fold(1, |product, _| product * 10)
}

/// Whether a number has at most `precision` digits.
pub(crate) fn has_digits(number: i128, precision: u8) -> bool {
    u64::from(precision) > MAX_POWER as u64
        || number.unsigned_abs() < ten_to(i64::from(precision)).unsigned_abs()
}

/// The number that big-endian two's complement bytes write; `None` when it needs more than 128 bits.
pub(crate) fn from_bytes(bytes: &[u8]) -> Option<i128> {
    let fill = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
    let kept = bytes.len().min(size_of::<i128>());
    let (extension, low) = bytes.split_at(bytes.len() - kept);
    let mut whole = [fill; size_of::<i128>()];
    whole[size_of::<i128>() - kept..].copy_from_slice(low);
    let number = i128::from_be_bytes(whole);
    let sign_holds = extension.iter().all(|byte| *byte == fill) && (number < 0) == (fill == 0xff);
    sign_holds.then_some(number)
}

/// The number that big-endian two's complement bytes write, divided by 10^`scale`, in plain digits. `None` when bytes or
/// scale are too many.
pub(crate) fn text_of_bytes(bytes: &[u8], scale: i32) -> Option<String> {
    if bytes.len() > MAX_BYTES || scale.unsigned_abs() > MAX_SCALE {
        return None;
    }
    let is_negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut digits = digits_of(&magnitude(bytes, is_negative));
    let places = scale.unsigned_abs() as usize;
    if scale < 0 && digits != "0" {
        digits.extend(std::iter::repeat_n('0', places));
    } else if scale > 0 {
        if digits.len() <= places {
            digits.insert_str(0, &"0".repeat(places + 1 - digits.len()));
        }
        digits.insert(digits.len() - places, '.');
    }
    if is_negative {
        digits.insert(0, '-');
    }
    Some(digits)
}

/// The absolute value of a two's complement number, big-endian.
fn magnitude(bytes: &[u8], is_negative: bool) -> Vec<u8> {
    let mut magnitude = bytes.to_vec();
    if is_negative {
        let mut carry = true;
        for byte in magnitude.iter_mut().rev() {
            (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
        }
    }
    magnitude
}

/// Decimal digits of a big-endian number, by repeated division.
fn digits_of(big_endian: &[u8]) -> String {
    let mut words: Vec<u32> = big_endian
        .rchunks(4)
        .rev()
        .map(|chunk| chunk.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)))
        .collect();
    let mut groups = Vec::new();
    while words.iter().any(|word| *word != 0) {
        let mut rest = 0;
        for word in &mut words {
            let dividend = rest << 32 | u64::from(*word);
            // The rest is below the divisor, so that the quotient fits a word.
            *word = (dividend / DECIMAL_BASE) as u32;
            rest = dividend % DECIMAL_BASE;
        }
        groups.push(rest);
        let zeros = words.iter().take_while(|word| **word == 0).count();
        words.drain(..zeros);
    }
    let Some(first) = groups.pop() else { return "0".to_owned() };
    let mut digits = first.to_string();
    for group in groups.into_iter().rev() {
        digits.push_str(&format!("{group:0DECIMAL_BASE_DIGITS$}"));
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn json_numbers_are_read_exactly() {
        let cases = [
            ("12.5", 3, Some(12_500)),
            ("12", 0, Some(12)),
            ("-0.50", 1, Some(-5)),
            ("5.0", 0, Some(5)),
            ("1e3", 0, Some(1_000)),
            ("1.25E+2", 1, Some(1_250)),
            ("1000e-3", 0, Some(1)),
            ("0e999999999", 0, Some(0)),
            ("0.1", 0, None),
            ("1e39", 0, None),
            ("1e99999999999", 0, None),
            ("1e-50", 2, None),
            ("170141183460469231731687303715884105728", 0, None),
            ("", 0, None),
            (".5", 1, None),
            ("x", 0, None),
        ];
        for (text, scale, expected) in cases {
            assert_eq!(unscaled(text, scale), expected, "{text} at {scale}");
        }
    }

    #[test]
    fn bytes_become_plain_digits() {
        let cases: [(&[u8], i32, &str); 9] = [
            (&[], 0, "0"),
            (&[0x30, 0x39], 2, "123.45"),
            (&[0xff], 0, "-1"),
            (&[0x80], 2, "-1.28"),
            (&[5], 3, "0.005"),
            (&[5], -2, "500"),
            (&[0], -2, "0"),
            (&[0], 2, "0.00"),
            (
                &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                0,
                "340282366920938463463374607431768211456",
            ),
        ];
        for (bytes, scale, expected) in cases {
            assert_eq!(text_of_bytes(bytes, scale).as_deref(), Some(expected), "{bytes:?} at {scale}");
        }
        assert_eq!(text_of_bytes(&[1; MAX_BYTES + 1], 0), None);
        assert_eq!(text_of_bytes(&[1], i32::MIN), None);
    }

    #[test]
    fn precision_counts_digits() {
        assert!(has_digits(999, 3) && !has_digits(1_000, 3) && has_digits(-999, 3));
        assert!(!has_digits(i128::MIN, 38) && has_digits(0, 0));
    }

    proptest! {
        #[test]
        fn bytes_and_text_agree_with_the_number(number: i128, extra in 0..4_usize, scale in 0..40_i8) {
            let fill = if number < 0 { 0xff } else { 0 };
            let mut bytes = vec![fill; extra];
            bytes.extend(number.to_be_bytes());
            prop_assert_eq!(from_bytes(&bytes), Some(number));
            prop_assert_eq!(text_of_bytes(&bytes, 0), Some(number.to_string()));
            let text = text_of_bytes(&bytes, i32::from(scale)).unwrap();
            if number != i128::MIN {
                prop_assert_eq!(unscaled(&text, scale), Some(number), "{}", text);
            }
        }
    }
}
