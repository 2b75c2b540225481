//! One message a line over pipes: lines of bounded length in, frames out.

use bytes::Bytes;
use memchr::{memchr, memchr2};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::link::Frame;

/// Read at once; also the length up to which a line gets its own copy instead of the buffer.
const CHUNK: usize = 64 << 10;
/// A buffer larger than this is given back when the line that needed it is skipped.
const ROOMY: usize = 16 * CHUNK;
/// Kept of a line over the limit, to find out whose answer it was.
const HEAD: usize = 64 << 10;
const TAIL: usize = 256;

/// A line of the server's stdout, without its line break.
#[derive(Debug)]
pub(super) enum Line {
    Whole(Bytes),
    /// Over the limit: its first and its last bytes.
    TooLong {
        size: u64,
        head: Vec<u8>,
        tail: Vec<u8>,
    },
    /// The stream ended in the middle of it.
    Half(Bytes),
}

/// Splits a stream into lines of at most `limit` bytes; longer ones are skipped, not stored.
pub(super) struct Lines<R> {
    read: R,
    limit: usize,
    buffer: Vec<u8>,
    /// Start of the next line in the buffer.
    start: usize,
    /// No line break before this offset.
    scanned: usize,
    skipping: Option<Skipped>,
    breaks: Breaks,
    /// The last line ended with a carriage return: a line feed right behind it belongs to that.
    after_return: bool,
}

/// What ends a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Breaks {
    LineFeed,
    /// Also a carriage return, and both together, as in an event stream.
    Any,
}

/// A line over the limit of which the end has not come yet.
struct Skipped {
    size: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Lines that end with a line feed.
    pub fn new(read: R, limit: usize) -> Self {
        Self::ending_with(Breaks::LineFeed, read, limit)
    }

    /// Lines that end with a line feed, a carriage return, or both.
    pub fn with_any_break(read: R, limit: usize) -> Self {
        Self::ending_with(Breaks::Any, read, limit)
    }

    fn ending_with(breaks: Breaks, read: R, limit: usize) -> Self {
        Self {
            read,
            limit,
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            skipping: None,
            breaks,
            after_return: false,
        }
    }

    /// How many bytes the line has so far that is over the limit, if one is.
    pub fn overlong(&self) -> Option<u64> {
        self.skipping.as_ref().map(|skipped| skipped.size)
    }

    /// Waits for more bytes; 0 is the end of the stream.
    pub async fn fill(&mut self) -> std::io::Result<usize> {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        self.buffer.reserve(CHUNK);
        self.read.read_buf(&mut self.buffer).await
    }

    /// The next line that is complete, if any is.
    pub fn take(&mut self) -> Option<Line> {
        if self.after_return && self.start < self.buffer.len() {
            self.after_return = false;
            if self.buffer[self.start] == b'\n' {
                self.start += 1;
                self.scanned = self.start;
            }
        }
        let unscanned = &self.buffer[self.scanned..];
        let end = match self.breaks {
            Breaks::LineFeed => memchr(b'\n', unscanned),
            Breaks::Any => memchr2(b'\n', b'\r', unscanned),
        };
        let Some(end) = end.map(|at| self.scanned + at) else {
            self.scanned = self.buffer.len();
            if self.skipping.is_some() || self.scanned - self.start > self.limit {
                self.skip_to(self.scanned);
            }
            return None;
        };
        self.after_return = self.buffer[end] == b'\r';
        self.scanned = end + 1;
        if self.skipping.is_some() || end - self.start > self.limit {
            self.skip_to(end);
            self.start = self.scanned;
            return self
                .skipping
                .take()
                .map(|Skipped { size, head, tail }| Line::TooLong { size, head, tail });
        }
        Some(Line::Whole(self.cut(end)))
    }

    /// What the stream ended with instead of a line break.
    pub fn rest(&mut self) -> Option<Line> {
        if let Some(Skipped { size, head, tail }) = self.skipping.take() {
            return Some(Line::TooLong { size, head, tail });
        }
        let rest = self.buffer.split_off(self.start);
        (!rest.is_empty()).then(|| Line::Half(rest.into()))
    }

    /// Takes the line that ends at `end` out of the buffer: a short one as a copy, so that a small
    /// answer that is kept does not keep the whole buffer; a long one with the buffer itself.
    fn cut(&mut self, end: usize) -> Bytes {
        let start = std::mem::replace(&mut self.start, end + 1);
        if end - start <= CHUNK {
            return Bytes::copy_from_slice(&self.buffer[start..end]);
        }
        let rest = self.buffer.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.buffer, rest);
        (self.start, self.scanned) = (0, 0);
        line.truncate(end);
        Bytes::from(line).slice(start..)
    }

    /// Forgets the bytes of a too long line up to `end`, but for its head and tail.
    fn skip_to(&mut self, end: usize) {
        let part = &self.buffer[self.start..end];
        let skipped = self.skipping.get_or_insert_with(|| Skipped {
            size: 0,
            head: part[..part.len().min(HEAD)].to_vec(),
            tail: Vec::new(),
        });
        skipped.size += part.len() as u64;
        skipped
            .tail
            .extend_from_slice(&part[part.len().saturating_sub(TAIL)..]);
        let surplus = skipped.tail.len().saturating_sub(TAIL);
        skipped.tail.drain(..surplus);
        self.start = end;
        if self.buffer.capacity() > ROOMY {
            // What grew for one giant line is not held for the rest of the connection.
            self.buffer = self.buffer.split_off(end);
            (self.start, self.scanned) = (0, self.scanned - end);
        }
    }
}

/// Writes frames until told to stop. A server that does not read holds this up, and only this.
pub(super) async fn write_frames(
    write: impl AsyncWrite + Unpin,
    mut frames: mpsc::Receiver<Frame>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    // A message and its line break in one write, which wakes the server once.
    let mut write = BufWriter::new(write);
    loop {
        let frame = tokio::select! {
            biased; // what was sent before the stop is written before it
            Some(frame) = frames.recv() => frame,
            () = stop.cancelled() => break,
        };
        write.write_all(&frame.bytes).await?;
        write.write_all(b"\n").await?;
        write.flush().await?;
    }
    // Closing its stdin is how a stdio server is asked to end.
    write.shutdown().await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests may
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use proptest::prelude::*;
    use tokio::io::ReadBuf;

    use super::*;

    /// Gives one chunk a read.
    struct Chunks(VecDeque<Vec<u8>>);

    impl AsyncRead for Chunks {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            if let Some(mut chunk) = self.0.pop_front() {
                let rest = chunk.split_off(chunk.len().min(buffer.remaining()));
                buffer.put_slice(&chunk);
                if !rest.is_empty() {
                    self.0.push_front(rest);
                }
            }
            Poll::Ready(Ok(()))
        }
    }

    /// What a line comes out as, told by its bytes alone.
    fn expected(line: &[u8], limit: usize, last: bool) -> String {
        if line.len() > limit {
            let tail = &line[line.len().saturating_sub(TAIL)..];
            return format!("too long {} {tail:?}", line.len());
        }
        format!("{} {line:?}", if last { "half" } else { "whole" })
    }

    fn seen(line: Line) -> String {
        match line {
            Line::Whole(bytes) => format!("whole {:?}", &bytes[..]),
            Line::Half(bytes) => format!("half {:?}", &bytes[..]),
            Line::TooLong { size, head, tail } => {
                assert!(!head.is_empty() && head.len() <= HEAD);
                format!("too long {size} {tail:?}")
            }
        }
    }

    async fn read_all(stream: &[u8], sizes: &[usize], limit: usize) -> Vec<String> {
        let mut chunks = VecDeque::new();
        let (mut rest, mut sizes) = (stream, sizes.iter().cycle());
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            chunks.push_back(chunk.to_vec());
            rest = after;
        }
        let mut lines = Lines::new(Chunks(chunks), limit);
        let mut all = Vec::new();
        while lines.fill().await.unwrap() > 0 {
            while let Some(line) = lines.take() {
                all.push(seen(line));
            }
        }
        all.extend(lines.rest().map(seen));
        all
    }

    #[tokio::test]
    async fn a_giant_line_that_is_skipped_gives_its_memory_back() {
        let giant = vec![b'x'; 8 << 20];
        for end in [&b"\nnext\n"[..], b""] {
            let stream = [&giant[..], end].concat();
            let mut lines = Lines::new(&stream[..], 4 << 20);
            let mut seen = Vec::new();
            while lines.fill().await.unwrap() > 0 {
                seen.extend(std::iter::from_fn(|| lines.take()));
            }
            assert!(
                lines.buffer.capacity() <= ROOMY,
                "{}",
                lines.buffer.capacity()
            );
            seen.extend(lines.rest());
            assert!(matches!(
                seen[0],
                Line::TooLong {
                    size: 8_388_608,
                    ..
                }
            ));
            assert_eq!(seen.len(), if end.is_empty() { 1 } else { 2 });
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn lines_do_not_depend_on_how_the_bytes_arrive(
            lengths in proptest::collection::vec(prop_oneof![4 => 0..300_usize, 1 => 60_000..150_000_usize], 1..12),
            sizes in proptest::collection::vec(prop_oneof![1..50_usize, 1_000..200_000_usize], 1..8),
            limit in prop_oneof![Just(100_usize), Just(100_000)],
        ) {
            // Each line is told from the others by its bytes; the last one has no line break.
            let lines: Vec<Vec<u8>> = lengths.iter().zip(b'a'..).map(|(n, byte)| vec![byte; *n]).collect();
            let (last, whole) = lines.split_last().unwrap();
            let mut right: Vec<_> = whole.iter().map(|line| expected(line, limit, false)).collect();
            if !last.is_empty() {
                right.push(expected(last, limit, true));
            }
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let read = runtime.block_on(read_all(&lines.join(&b'\n'), &sizes, limit));
            prop_assert!(read == right);
        }
    }
}
