//! The scanner's way over strings: checked alone, or checked and unescaped in the same pass.
//!
//! Escapes are where a well-formed JSON text can still fail to be UTF-8: a lone surrogate has no encoding.

use super::{FaultKind, Scanner, Walked};
use crate::unescaped::Unescaped;

/// What a string was found to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StringContent {
    /// No escapes: its source text between the quotes.
    AsWritten,
    /// Escapes; its content was written to the buffer.
    Unescaped,
    /// Half a surrogate pair, which has no UTF-8 form. It is well-formed JSON all the same.
    LoneSurrogate,
}

/// What a short escape stands for, by the byte behind its backslash; 0 where there is no such escape.
const SHORT_ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table[b'/' as usize] = b'/';
    table[b'b' as usize] = 0x8;
    table[b'f' as usize] = 0xc;
    table[b'n' as usize] = b'\n';
    table[b'r' as usize] = b'\r';
    table[b't' as usize] = b'\t';
    table
};
const UNICODE_ESCAPE_BYTES: usize = 6;

impl Scanner<'_> {
    /// Moves over the string whose opening quote is here; whether it holds escapes.
    #[inline]
    pub(crate) fn string(&mut self) -> Walked<bool> {
        let end = self.marks.next(self.at + 1);
        if self.text.as_bytes().get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(false);
        }
        self.string_with_escapes(end)?;
        Ok(true)
    }

    /// Moves over the rest of a string whose first mark is no quote.
    fn string_with_escapes(&mut self, first_mark: usize) -> Walked<()> {
        self.at = first_mark;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') if self.short_escape() != 0 => self.at += 2,
                Some(b'\\') if hex_unit(self.text.as_bytes(), self.at).is_some() => {
                    self.at += UNICODE_ESCAPE_BYTES;
                }
                byte => return Err(self.no_string(byte)),
            }
            self.at = self.marks.next(self.at);
        }
    }

    /// Moves over the string whose opening quote is here and, where it holds escapes, writes its content to `out`.
    pub(crate) fn string_into(&mut self, out: &mut Unescaped) -> Walked<StringContent> {
        let end = self.marks.next(self.at + 1);
        if self.text.as_bytes().get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(StringContent::AsWritten);
        }
        self.at += 1;
        out.begin(self.text.len());
        let mut content = StringContent::Unescaped;
        loop {
            self.short_escapes_into(out);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(content);
                }
                Some(b'\\') => {
                    if !self.unicode_escape_into(out)? {
                        content = StringContent::LoneSurrogate;
                    }
                }
                byte => return Err(self.no_string(byte)),
            }
        }
    }

    /// Moves up to the next mark that is no short escape, and writes what it passed to `out`. The innermost loop for
    /// bodies in strings: what it works with is copied here so that it stays in registers.
    fn short_escapes_into(&mut self, out: &mut Unescaped) {
        let (bytes, mut marks) = (self.text.as_bytes(), self.marks);
        let mut writer = out.writer();
        let mut run_start = self.at;
        loop {
            let mark = marks.next(run_start);
            let stands_for = match bytes.get(mark..) {
                Some([b'\\', escape, ..]) => SHORT_ESCAPES[usize::from(*escape)],
                _ => 0,
            };
            if stands_for == 0 {
                writer.write_run(bytes, run_start, mark);
                self.at = mark;
                break;
            }
            writer.write_run_and(bytes, run_start, mark, stands_for);
            run_start = mark + 2;
        }
        self.marks = marks;
        let length = writer.length();
        out.set_length(length);
    }

    /// What the escape whose backslash is here stands for; 0 when it is no short one.
    #[inline]
    fn short_escape(&self) -> u8 {
        self.text.as_bytes().get(self.at + 1).map_or(0, |byte| SHORT_ESCAPES[usize::from(*byte)])
    }

    /// Moves over the `\u` escape (or the two of a surrogate pair) here and appends the character; false when it is
    /// half a pair, which has none.
    fn unicode_escape_into(&mut self, out: &mut Unescaped) -> Walked<bool> {
        let bytes = self.text.as_bytes();
        let Some(unit) = hex_unit(bytes, self.at) else {
            return Err(self.fault(FaultKind::BadEscape));
        };
        self.at += UNICODE_ESCAPE_BYTES;
        let Some(char) = char::from_u32(unit).or_else(|| self.low_surrogate_behind(unit)) else {
            return Ok(false);
        };
        out.append(char);
        Ok(true)
    }

    /// Moves over the low surrogate here, if there is one and `high` is a high one; the character of the pair.
    fn low_surrogate_behind(&mut self, high: u32) -> Option<char> {
        let low = hex_unit(self.text.as_bytes(), self.at)?;
        if !(0xd800..=0xdbff).contains(&high) || !(0xdc00..=0xdfff).contains(&low) {
            return None;
        }
        self.at += UNICODE_ESCAPE_BYTES;
        char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))
    }

    /// Why a string can't go on with the marked `byte` here.
    #[cold]
    fn no_string(&self, byte: Option<u8>) -> Box<super::Fault> {
        match byte {
            Some(b'\\') => self.fault(FaultKind::BadEscape),
            Some(_) => self.fault(FaultKind::ControlCharacter),
            None => self.expected("a closing quote"),
        }
    }
}

/// The UTF-16 unit of the `\uXXXX` at `at`; `None` when there is none.
fn hex_unit(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + UNICODE_ESCAPE_BYTES)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}
