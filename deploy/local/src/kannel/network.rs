//! fakesmsc's words: `<from> <to> [udh …] <kind> <content>`, content with percent signs except where the kind is `text`.

use std::{fmt::Write, fs, path::Path};

/// One part of a message, as the network got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentSms {
    pub from: String,
    pub to: String,
    pub text: String,
    /// Its number and how many there are; `None` for a message of one part.
    pub part: Option<(u8, u8)>,
    /// UCS-2, which Persian needs; otherwise the phone network's own alphabet.
    pub is_ucs2: bool,
}

pub(super) fn sent(log: &Path) -> Vec<SentSms> {
    let text = fs::read_to_string(log).unwrap_or_default();
    let messages = text.lines().filter_map(|line| line.split_once(": Got message ")?.1.split_once(": <")?.1.strip_suffix('>'));
    messages.filter_map(read).collect()
}

fn read(message: &str) -> Option<SentSms> {
    let (from, rest) = message.split_once(' ')?;
    let (to, mut rest) = rest.split_once(' ')?;
    let mut part = None;
    if let Some(headed) = rest.strip_prefix("udh ") {
        let (header, after) = headed.split_once(' ')?;
        // Length, kind 0 (concatenated), its length, the message's number, parts, this part.
        if let [_, 0, 3, _, parts, number] = bytes(header)[..] {
            part = Some((number, parts));
        }
        rest = after;
    }
    let (kind, content) = rest.split_once(' ').unwrap_or((rest, ""));
    let content = if kind == "text" { content.as_bytes().to_vec() } else { bytes(content) };
    // A long message's parts are called "data" in either alphabet: in UCS-2 some byte is below a space.
    let is_ucs2 = kind == "ucs-2" || (kind == "data" && content.iter().any(|byte| *byte < b' ' && *byte != b'\n'));
    let text = if is_ucs2 {
        let units: Vec<u16> = content.chunks(2).map(|pair| u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)])).collect();
        String::from_utf16_lossy(&units)
    } else {
        String::from_utf8_lossy(&content).into_owned()
    };
    Some(SentSms { from: from.to_owned(), to: to.to_owned(), text, part, is_ucs2 })
}

fn bytes(text: &str) -> Vec<u8> {
    let mut read = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        read.push(match byte {
            b'%' => {
                let digits = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
                std::str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(b'?')
            }
            b'+' => b' ',
            other => other,
        });
    }
    read
}

/// Kind and content of a person's message.
pub(super) fn encoded(text: &str) -> String {
    if text.is_ascii() && !text.contains('\n') {
        return format!("text {text}");
    }
    text.encode_utf16().flat_map(u16::to_be_bytes).fold("ucs2 ".to_owned(), |mut encoded, byte| {
        // Writing into a text does not fail.
        let _ = write!(encoded, "%{byte:02x}");
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_parts_in_either_alphabet() {
        let one = read("2000 +49123 text A @ b").unwrap();
        assert_eq!((one.text.as_str(), one.part, one.is_ucs2), ("A @ b", None, false));
        let second = read("Alerts +49 udh %05%00%03%02%02%02 data 34567890123456789%E2%82%AC%7B").unwrap();
        assert_eq!((second.text.as_str(), second.part), ("34567890123456789€{", Some((2, 2))));
        let persian = read("1 +49 udh %05%00%03%03%02%01 data %063%06D%06'%06E").unwrap();
        assert_eq!((persian.text.as_str(), persian.part, persian.is_ucs2), ("سلام", Some((1, 2)), true));
    }
}
