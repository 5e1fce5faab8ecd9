//! Walks over JSON source text: checks the grammar of RFC 8259 and hands out the source text of keys and values.
//!
//! No value is built, nothing recurses, and common records allocate nothing. It is written out because one pass does
//! here what takes three with a parser for general use (grammar, depth, fields of the body). Measured: 1.0 CPU s per
//! million events through serde_json's raw values, a third of it through this (docs/performance.md). Tests and the
//! fuzz target hold it to serde_json's verdicts.

mod strings;

use std::fmt;

use crate::digits::leading_digits;
use crate::marks::Marks;
use crate::nesting::Nesting;

pub(crate) use strings::StringContent;

/// What walking over a part of a text gives. The fault is boxed so that the common case fits a register.
pub(crate) type Walked<T> = Result<T, Box<Fault>>;

/// Where and why a text is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Position in bytes.
    pub(crate) at: usize,
    pub(crate) kind: FaultKind,
}

/// What is wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// What had to stand here.
    Expected(&'static str),
    /// A raw control character inside a string.
    ControlCharacter,
    /// A backslash that begins no escape.
    BadEscape,
    /// Objects and arrays nest deeper than the limit.
    TooDeep,
    /// A field that may stand there once stands there again.
    Repeated(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        match self.kind {
            FaultKind::Expected(what) => write!(formatter, "expected {what} at byte {at}"),
            FaultKind::ControlCharacter => {
                write!(formatter, "raw control character in a string at byte {at}")
            }
            FaultKind::BadEscape => write!(formatter, "no such escape in a string at byte {at}"),
            FaultKind::TooDeep => write!(formatter, "nested too deep at byte {at}"),
            FaultKind::Repeated(field) => {
                write!(formatter, "field {field} stands there a second time at byte {at}")
            }
        }
    }
}

/// A key's place in the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Where its opening quote stands.
    start: usize,
    /// Where the text goes on behind its closing quote.
    end: usize,
    /// Whether it holds escapes.
    pub(crate) is_escaped: bool,
}

/// A position in a text. Every method moves it forward over what it names, or reports a fault.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    max_depth: usize,
    marks: Marks<'a>,
}

impl<'a> Scanner<'a> {
    /// Walks over a text that must be one JSON object with nothing but white space around it; it is level 1, and no
    /// level may lie deeper than `max_depth`. `on_entry` gets each key, with the scanner at the value: it must move
    /// over that value, with [`value`](Self::value), [`object`](Self::object) or [`string_into`](Self::string_into).
    #[inline]
    pub(crate) fn walk_object(
        text: &'a str,
        max_depth: usize,
        on_entry: impl FnMut(&mut Self, Key) -> Walked<()>,
    ) -> Walked<()> {
        let mut scanner = Self::at_start_of(text, max_depth);
        scanner.skip_white_space();
        if scanner.peek() != Some(b'{') {
            return Err(scanner.expected("an object"));
        }
        scanner.object(1, on_entry)?;
        scanner.skip_white_space();
        if scanner.at < text.len() { Err(scanner.expected("the end")) } else { Ok(()) }
    }

    /// At the first byte of `text`.
    #[inline]
    pub(crate) fn at_start_of(text: &'a str, max_depth: usize) -> Self {
        Self { text, at: 0, max_depth, marks: Marks::new(text.as_bytes()) }
    }

    /// The byte here; `None` at the end.
    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Where it stands, in bytes.
    #[inline]
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The source text from `start` to here.
    #[inline]
    pub(crate) fn source_since(&self, start: usize) -> &'a str {
        &self.text[start..self.at]
    }

    /// A key's source text with its quotes.
    #[inline]
    pub(crate) fn raw_key(&self, key: Key) -> &'a str {
        &self.text[key.start..key.end]
    }

    /// What stands between a key's quotes.
    #[inline]
    pub(crate) fn raw_name(&self, key: Key) -> &'a [u8] {
        &self.text.as_bytes()[key.start + 1..key.end - 1]
    }

    /// Moves over the object whose `{` is here and which is level `level`, entry by entry.
    #[inline]
    pub(crate) fn object(
        &mut self,
        level: usize,
        mut on_entry: impl FnMut(&mut Self, Key) -> Walked<()>,
    ) -> Walked<()> {
        if level > self.max_depth {
            return Err(self.fault(FaultKind::TooDeep));
        }
        self.at += 1;
        self.skip_white_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let key = self.key()?;
            on_entry(self, key)?;
            self.skip_white_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.expected("`,` or `}`")),
            }
            self.skip_white_space();
        }
    }

    /// Moves over the value here, which stands inside `level` levels.
    #[inline(always)]
    pub(crate) fn value(&mut self, level: usize) -> Walked<()> {
        match self.peek() {
            Some(b'{' | b'[') => self.container(level),
            _ => self.scalar(),
        }
    }

    /// Moves over a key, its colon and the white space around that.
    #[inline(always)]
    fn key(&mut self) -> Walked<Key> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key in quotes"));
        }
        let is_escaped = self.string()?;
        let end = self.at;
        self.skip_white_space();
        if self.peek() != Some(b':') {
            return Err(self.expected("`:`"));
        }
        self.at += 1;
        self.skip_white_space();
        Ok(Key { start, end, is_escaped })
    }

    /// Moves over the object or array here and all it contains.
    fn container(&mut self, level: usize) -> Walked<()> {
        let mut nesting = Nesting::default();
        loop {
            match self.peek() {
                Some(bracket @ (b'{' | b'[')) => {
                    if level + nesting.depth() >= self.max_depth {
                        return Err(self.fault(FaultKind::TooDeep));
                    }
                    nesting.open(bracket == b'{');
                    self.at += 1;
                    self.skip_white_space();
                    if self.peek() != Some(closing_bracket(&nesting)) {
                        if nesting.in_object() {
                            self.key()?;
                        }
                        continue;
                    }
                }
                _ => self.scalar()?,
            }
            if self.close_or_go_on(&mut nesting)? {
                return Ok(());
            }
        }
    }

    /// Behind a value (or at an empty container's bracket): closes what closes here, up to the next value. True when
    /// the outermost one has closed.
    fn close_or_go_on(&mut self, nesting: &mut Nesting) -> Walked<bool> {
        loop {
            self.skip_white_space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.skip_white_space();
                    if nesting.in_object() {
                        self.key()?;
                    }
                    return Ok(false);
                }
                Some(byte) if byte == closing_bracket(nesting) => {
                    self.at += 1;
                    nesting.close();
                    if nesting.depth() == 0 {
                        return Ok(true);
                    }
                }
                _ if nesting.in_object() => return Err(self.expected("`,` or `}`")),
                _ => return Err(self.expected("`,` or `]`")),
            }
        }
    }

    /// Moves over a string, number, `true`, `false` or `null`.
    #[inline(always)]
    fn scalar(&mut self) -> Walked<()> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(self.expected("a value")),
        }
    }

    fn word(&mut self, word: &'static str) -> Walked<()> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.expected(word));
        }
        self.at += word.len();
        Ok(())
    }

    #[inline]
    fn number(&mut self) -> Walked<()> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Moves over one or more digits.
    #[inline]
    fn digits(&mut self) -> Walked<()> {
        let count = leading_digits(&self.text.as_bytes()[self.at..]);
        if count == 0 {
            return Err(self.expected("a digit"));
        }
        self.at += count;
        Ok(())
    }

    #[inline(always)]
    fn skip_white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    #[inline(always)]
    fn expected(&self, what: &'static str) -> Box<Fault> {
        self.fault(FaultKind::Expected(what))
    }

    #[inline(always)]
    fn fault(&self, kind: FaultKind) -> Box<Fault> {
        fault_at(self.at, kind)
    }
}

#[cold]
fn fault_at(at: usize, kind: FaultKind) -> Box<Fault> {
    Box::new(Fault { at, kind })
}

fn closing_bracket(nesting: &Nesting) -> u8 {
    if nesting.in_object() { b'}' } else { b']' }
}

#[cfg(test)]
mod tests;
