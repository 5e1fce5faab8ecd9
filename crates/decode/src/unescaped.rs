//! The buffer that strings are unescaped into, used again and again.

/// Runs are copied at this length, which is one instruction; what was too much is written over by what follows.
const COPIED_BYTES: usize = 16;

/// The content of one string. Its memory is kept from string to string and never cleared: bytes behind the content
/// are left over.
#[derive(Debug, Default)]
pub(crate) struct Unescaped {
    room: Vec<u8>,
    length: usize,
}

impl Unescaped {
    /// Empties it and makes room for the content of any string inside a text of `text_bytes` bytes: content is never
    /// longer than its source.
    pub(crate) fn begin(&mut self, text_bytes: usize) {
        self.length = 0;
        let needed = text_bytes + COPIED_BYTES + 1;
        if self.room.len() < needed {
            self.room.resize(needed, 0);
        }
    }

    /// The bytes of the content.
    pub(crate) fn content(&self) -> &[u8] {
        &self.room[..self.length]
    }

    /// Appends one character.
    pub(crate) fn append(&mut self, char: char) {
        self.length += char.encode_utf8(&mut self.room[self.length..]).len();
    }

    /// Writes on behind the content; [`set_length`](Self::set_length) makes what was written a part of it.
    #[inline]
    pub(crate) fn writer(&mut self) -> Writer<'_> {
        Writer { room: &mut self.room, length: self.length }
    }

    /// Makes the content end at `length` bytes, as a [`Writer`] has it.
    #[inline]
    pub(crate) fn set_length(&mut self, length: usize) {
        self.length = length;
    }
}

/// Writes to the room of an [`Unescaped`].
pub(crate) struct Writer<'a> {
    room: &'a mut [u8],
    length: usize,
}

impl Writer<'_> {
    /// Where the content ends now.
    #[inline]
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Writes `bytes[start..end]` and, behind them, `escaped`.
    #[inline(always)]
    pub(crate) fn write_run_and(&mut self, bytes: &[u8], start: usize, end: usize, escaped: u8) {
        let run_length = end - start;
        let room = &mut self.room[self.length..];
        match (bytes[start..].first_chunk::<COPIED_BYTES>(), room.first_chunk_mut::<{ COPIED_BYTES + 1 }>()) {
            (Some(from), Some(to)) if run_length <= COPIED_BYTES => {
                to[..COPIED_BYTES].copy_from_slice(from);
                to[run_length] = escaped;
            }
            _ => {
                copy(&bytes[start..end], room);
                room[run_length] = escaped;
            }
        }
        self.length += run_length + 1;
    }

    /// Writes `bytes[start..end]`.
    #[inline(always)]
    pub(crate) fn write_run(&mut self, bytes: &[u8], start: usize, end: usize) {
        copy(&bytes[start..end], &mut self.room[self.length..]);
        self.length += end - start;
    }
}

/// Copies a run that is long or stands at the end of its text.
#[inline(never)]
fn copy(run: &[u8], room: &mut [u8]) {
    room[..run.len()].copy_from_slice(run);
}
