//! Walks over JSON source text: checks the grammar of RFC 8259 and hands out the source text of keys and values.
//!
//! No value is built, nothing recurses, and common records allocate nothing. It is written out because one pass does
//! here what takes three with a parser for general use (grammar, depth, fields of the body). Measured with the
//! `decode_rate` example: 1.0 CPU s per million events through serde_json's raw values, about 0.6 through this. Tests
//! and the fuzz target hold it to serde_json's verdicts.

use std::fmt;

use crate::nesting::Nesting;
use crate::word_search::plain_length;

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

/// A position in a text. Every method moves it forward over what it names, or reports a fault.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    max_depth: usize,
}

impl<'a> Scanner<'a> {
    /// Walks over a text that must be one JSON object with nothing but white space around it; it is level 1, and no
    /// level may lie deeper than `max_depth`. `on_entry` gets each key's source text, with the scanner at the value:
    /// it must move over that value, with [`value`](Self::value) or [`object`](Self::object).
    pub(crate) fn walk_object(
        text: &'a str,
        max_depth: usize,
        on_entry: impl FnMut(&mut Self, &'a str) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut scanner = Self { text, at: 0, max_depth };
        scanner.skip_white_space();
        if scanner.peek() != Some(b'{') {
            return Err(scanner.expected("an object"));
        }
        scanner.object(1, on_entry)?;
        scanner.skip_white_space();
        if scanner.at < text.len() { Err(scanner.expected("the end")) } else { Ok(()) }
    }

    /// The byte here; `None` at the end.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Where it stands, in bytes.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The source text from `start` to here.
    pub(crate) fn source_since(&self, start: usize) -> &'a str {
        &self.text[start..self.at]
    }

    /// Moves over the object whose `{` is here and which is level `level`, entry by entry.
    pub(crate) fn object(
        &mut self,
        level: usize,
        mut on_entry: impl FnMut(&mut Self, &'a str) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
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

    /// Moves over the value here, which stands inside `level` levels; its source text.
    pub(crate) fn value(&mut self, level: usize) -> Result<&'a str, Fault> {
        let start = self.at;
        match self.peek() {
            Some(b'{' | b'[') => self.container(level)?,
            _ => self.scalar()?,
        }
        Ok(self.source_since(start))
    }

    /// Moves over a key, its colon and the white space around that; the key's source text with its quotes.
    fn key(&mut self) -> Result<&'a str, Fault> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key in quotes"));
        }
        self.string()?;
        let key = self.source_since(start);
        self.skip_white_space();
        if self.peek() != Some(b':') {
            return Err(self.expected("`:`"));
        }
        self.at += 1;
        self.skip_white_space();
        Ok(key)
    }

    /// Moves over the object or array here and all it contains.
    fn container(&mut self, level: usize) -> Result<(), Fault> {
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
    fn close_or_go_on(&mut self, nesting: &mut Nesting) -> Result<bool, Fault> {
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
    fn scalar(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(self.expected("a value")),
        }
    }

    fn word(&mut self, word: &'static str) -> Result<(), Fault> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.expected(word));
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
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
    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.expected("a digit")) } else { Ok(()) }
    }

    /// Moves over the string whose opening quote is here.
    fn string(&mut self) -> Result<(), Fault> {
        let bytes = self.text.as_bytes();
        self.at += 1;
        loop {
            self.at += plain_length(&bytes[self.at..]);
            match bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.fault(FaultKind::ControlCharacter)),
                None => return Err(self.expected("a closing quote")),
            }
        }
    }

    /// Moves over the escape whose backslash is here. A surrogate without its other half is well-formed JSON.
    fn escape(&mut self) -> Result<(), Fault> {
        let rest = &self.text.as_bytes()[self.at..];
        match rest.get(1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') if rest.get(2..6).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) => {
                self.at += 6;
            }
            _ => return Err(self.fault(FaultKind::BadEscape)),
        }
        Ok(())
    }

    fn skip_white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expected(&self, what: &'static str) -> Fault {
        self.fault(FaultKind::Expected(what))
    }

    fn fault(&self, kind: FaultKind) -> Fault {
        Fault { at: self.at, kind }
    }
}

fn closing_bracket(nesting: &Nesting) -> u8 {
    if nesting.in_object() { b'}' } else { b']' }
}

#[cfg(test)]
mod tests;
