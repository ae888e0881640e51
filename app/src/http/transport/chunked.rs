//! This module finds the end of a chunked body. It must not validate the body: hyper reads the same bytes again.

/// The next expected element.
#[derive(Debug, Default, Clone, Copy)]
enum At {
    #[default]
    Size,
    /// The rest of the size line.
    Extension,
    Data(u64),
    /// The line end after the data.
    DataEnd,
    /// A line after the last chunk; true while it is empty.
    Trailer(bool),
}

#[derive(Debug, Default)]
pub struct Chunked {
    at: At,
    size: u64,
}

impl Chunked {
    /// Number of bytes of `input` that belong to the body, and whether the body ends with them.
    pub fn advance(&mut self, input: &[u8]) -> (usize, bool) {
        let mut taken = 0;
        while let Some(byte) = input.get(taken) {
            if let At::Data(left) = self.at {
                let data = (input.len() - taken).min(usize::try_from(left).unwrap_or(usize::MAX));
                taken += data;
                self.at = if data as u64 == left { At::DataEnd } else { At::Data(left - data as u64) };
                continue;
            }
            taken += 1;
            self.at = match (self.at, byte) {
                (At::Size | At::Extension, b'\n') if self.size == 0 => At::Trailer(true),
                (At::Size | At::Extension, b'\n') => At::Data(std::mem::take(&mut self.size)),
                (At::Size, digit) if digit.is_ascii_hexdigit() => {
                    let digit = char::from(*digit).to_digit(16).unwrap_or_default();
                    self.size = self.size.saturating_mul(16).saturating_add(digit.into());
                    At::Size
                }
                (At::Size | At::Extension, _) => At::Extension,
                (At::DataEnd, b'\n') => At::Size,
                (At::DataEnd, _) => At::DataEnd,
                (At::Trailer(true), b'\n') => return (taken, true),
                (At::Trailer(_), b'\n') => At::Trailer(true),
                (At::Trailer(true), b'\r') => At::Trailer(true),
                (At::Trailer(_), _) => At::Trailer(false),
                (data @ At::Data(_), _) => data,
            };
        }
        (taken, false)
    }
}
