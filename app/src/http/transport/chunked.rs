//! This module finds the end of a chunked body, or the first byte that breaks its framing. It must not decode the body: hyper reads
//! the same bytes again.
//!
//! It accepts what hyper accepts. hyper closes the connection without an answer at bytes that it rejects, so it must not receive them.

/// Digits of a chunk's size: more would overflow.
const DIGITS_MAX: u8 = 16;
/// Bytes of extensions and trailers in one body.
const EXTRA_MAX: usize = 16 * 1024;

/// The next expected element.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    #[default]
    Size,
    /// The rest of the size line.
    Extension,
    SizeLineEnd,
    Data(u64),
    DataReturn,
    DataLineEnd,
    /// A line after the last chunk, at its start.
    TrailerStart,
    Trailer,
    TrailerLineEnd,
    LastLineEnd,
    Broken,
}

/// How far the body has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkProgress {
    More,
    Ended,
    /// The byte after those that belong to the body breaks its framing.
    Broken,
}

#[derive(Debug, Default)]
pub struct Chunked {
    at: At,
    size: u64,
    digits: u8,
    extra: usize,
}

impl Chunked {
    /// Number of bytes of `input` that belong to the body, and what follows them.
    pub fn advance(&mut self, input: &[u8]) -> (usize, ChunkProgress) {
        let mut taken = 0;
        while let Some(byte) = input.get(taken) {
            if let At::Data(left) = self.at {
                let data = (input.len() - taken).min(usize::try_from(left).unwrap_or(usize::MAX));
                taken += data;
                self.at = if data as u64 == left { At::DataReturn } else { At::Data(left - data as u64) };
                continue;
            }
            if (self.at, *byte) == (At::LastLineEnd, b'\n') {
                return (taken + 1, ChunkProgress::Ended);
            }
            self.at = self.after(*byte);
            if self.at == At::Broken {
                return (taken, ChunkProgress::Broken);
            }
            taken += 1;
        }
        (taken, ChunkProgress::More)
    }

    /// What is expected after `byte`.
    fn after(&mut self, byte: u8) -> At {
        let next = match (self.at, byte) {
            (At::Size, digit) if digit.is_ascii_hexdigit() && self.digits < DIGITS_MAX => {
                let digit = char::from(digit).to_digit(16).unwrap_or_default();
                self.size = self.size * 16 + u64::from(digit);
                self.digits += 1;
                return At::Size;
            }
            (At::Size, b'\r') if self.digits > 0 => At::SizeLineEnd,
            (At::Size, b' ' | b'\t' | b';') if self.digits > 0 => At::Extension,
            (At::Extension, b'\r') => At::SizeLineEnd,
            (At::Extension, b'\n') => At::Broken,
            (At::Extension, _) => At::Extension,
            (At::SizeLineEnd, b'\n') => {
                self.digits = 0;
                match std::mem::take(&mut self.size) {
                    0 => At::TrailerStart,
                    size => At::Data(size),
                }
            }
            (At::DataReturn, b'\r') => At::DataLineEnd,
            (At::DataLineEnd, b'\n') => At::Size,
            (At::TrailerStart, b'\r') => At::LastLineEnd,
            (At::Trailer, b'\r') => At::TrailerLineEnd,
            (At::TrailerStart | At::Trailer, b'\n') => At::Broken,
            (At::TrailerStart | At::Trailer, _) => At::Trailer,
            (At::TrailerLineEnd, b'\n') => At::TrailerStart,
            _ => At::Broken,
        };
        self.extra += usize::from(matches!(next, At::Extension | At::Trailer));
        if self.extra > EXTRA_MAX { At::Broken } else { next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In one piece and byte by byte.
    fn both(body: &str) -> (usize, ChunkProgress) {
        let whole = Chunked::default().advance(body.as_bytes());
        let mut chunked = Chunked::default();
        let mut parts = (0, ChunkProgress::More);
        for byte in body.as_bytes().chunks(1) {
            let (taken, progress) = chunked.advance(byte);
            parts = (parts.0 + taken, progress);
            if progress != ChunkProgress::More {
                break;
            }
        }
        assert_eq!(whole, parts, "{body:?}");
        whole
    }

    #[test]
    fn a_body_ends_with_its_last_chunk() {
        let bodies =
            ["0\r\n\r\n", "3\r\na=b\r\n0\r\n\r\n", "3;x=y\r\na=b\r\n1 \r\nc\r\n000\r\nT: r\r\nU: s\r\n\r\n", "aA\r\n0123456789"];
        for body in &bodies[..3] {
            let rest = format!("{body}GET / HTTP/1.1\r\n");
            assert_eq!(both(&rest), (body.len(), ChunkProgress::Ended), "{body:?}");
        }
        assert_eq!(both(bodies[3]), (bodies[3].len(), ChunkProgress::More), "incomplete");
    }

    #[test]
    fn a_byte_that_breaks_the_framing_is_found() {
        let (long, digits) = (format!("1;{}", "x".repeat(EXTRA_MAX)), "0".repeat(17));
        let bodies: [(&str, usize); 12] = [
            ("zz\r\n", 0),
            ("-3\r\n", 0),
            ("\r\n", 0),
            (";x\r\n", 0),
            (" 3\r\n", 0),
            ("3\na=b\r\n", 1),
            ("3x\r\n", 1),
            ("3\r\na=bXX0\r\n\r\n", 6),
            ("3\r\na=b\n0\r\n\r\n", 6),
            ("0\r\nT: r\n\r\n", 7),
            (&long, long.len() - 1),
            (&digits, 16),
        ];
        for (body, at) in bodies {
            assert_eq!(both(body), (at, ChunkProgress::Broken), "{body:?}");
        }
    }
}
