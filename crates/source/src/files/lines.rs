//! Lines of a (compressed) text file with their numbers, in bounded memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::expand::FileKind;

const BUFFER_BYTES: usize = 128 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A file that counts what is read of it.
struct Counted {
    file: File,
    done_bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.done_bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Reads lines one after another. Line numbers begin at 0 and count every line, empty ones too.
pub(super) struct LineReader {
    input: Box<dyn BufRead + Send>,
    number: i64,
    max_line_bytes: usize,
}

/// What [`LineReader::next_line`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line of this many bytes in the file, cut if that is more than the limit.
    Whole {
        /// Its number.
        number: i64,
        /// Bytes beyond the limit that were left out.
        cut_bytes: u64,
    },
    /// There is no line any more.
    End,
}

impl LineReader {
    /// Reads `file` from its beginning; `done_bytes` counts what is read of it as it lies on disk.
    pub(super) fn new(
        file: File,
        kind: FileKind,
        max_line_bytes: usize,
        done_bytes: Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let counted = BufReader::with_capacity(BUFFER_BYTES, Counted { file, done_bytes });
        let input: Box<dyn BufRead + Send> = match kind {
            FileKind::GzipLines => Box::new(BufReader::with_capacity(
                BUFFER_BYTES,
                flate2::bufread::MultiGzDecoder::new(counted),
            )),
            FileKind::ZstdLines => {
                Box::new(BufReader::with_capacity(BUFFER_BYTES, zstd::Decoder::with_buffer(counted)?))
            }
            FileKind::Lines | FileKind::Parquet => Box::new(counted),
        };
        let mut reader = Self { input, number: 0, max_line_bytes };
        reader.skip_byte_order_mark()?;
        Ok(reader)
    }

    /// The number of the next line.
    pub(super) fn number(&self) -> i64 {
        self.number
    }

    fn skip_byte_order_mark(&mut self) -> io::Result<()> {
        // A first buffer shorter than three bytes is a file (or a frame) of less than three bytes.
        if self.input.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
            self.input.consume(BYTE_ORDER_MARK.len());
        }
        Ok(())
    }

    /// Moves on to line `number`, or to the end if there are fewer.
    pub(super) fn skip_to(&mut self, number: i64) -> io::Result<()> {
        while self.number < number {
            if !self.pass_line(|_| ())? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Puts the next line into `line`, without its line end.
    pub(super) fn next_line(&mut self, line: &mut Vec<u8>) -> io::Result<Line> {
        line.clear();
        let number = self.number;
        let limit = self.max_line_bytes;
        let mut cut_bytes = 0;
        let is_there = self.pass_line(|part| {
            let room = limit.saturating_sub(line.len()).min(part.len());
            line.extend_from_slice(&part[..room]);
            cut_bytes += (part.len() - room) as u64;
        })?;
        if !is_there {
            return Ok(Line::End);
        }
        if cut_bytes == 0 && line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Line::Whole { number, cut_bytes })
    }

    /// Hands the parts of one line to `take`; false when there is none.
    fn pass_line(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<bool> {
        let mut is_there = false;
        loop {
            let available = match self.input.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                self.number += i64::from(is_there);
                return Ok(is_there);
            }
            is_there = true;
            match memchr::memchr(b'\n', available) {
                Some(end) => {
                    take(&available[..end]);
                    self.input.consume(end + 1);
                    self.number += 1;
                    return Ok(true);
                }
                None => {
                    let length = available.len();
                    take(available);
                    self.input.consume(length);
                }
            }
        }
    }
}
