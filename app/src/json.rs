//! This module writes JSON into one buffer. Hot replies use it instead of a tree of values. It must not know the shape of an
//! endpoint.

use exchange_core::money::{Amount, Decimal, Time};

/// Time unit that the client requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeUnit {
    #[default]
    Millisecond = 0,
    Microsecond = 1,
}

impl TimeUnit {
    /// From the text of a header or a parameter, in any case.
    pub fn from_text(text: &[u8]) -> Option<Self> {
        if text.eq_ignore_ascii_case(b"MICROSECOND") {
            Some(Self::Microsecond)
        } else if text.eq_ignore_ascii_case(b"MILLISECOND") {
            Some(Self::Millisecond)
        } else {
            None
        }
    }

    /// The number in a reply for `time`.
    pub const fn show(self, time: Time) -> i64 {
        match self {
            Self::Millisecond => time.div_euclid(1000),
            Self::Microsecond => time,
        }
    }
}

/// A JSON text under construction. The caller must write well-formed sequences; this type adds the commas.
#[derive(Debug, Default)]
pub struct Json {
    bytes: Vec<u8>,
}

impl Json {
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity) }
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// `{`, the output of `fields`, `}`.
    pub fn object(&mut self, fields: impl FnOnce(&mut Self)) {
        self.comma();
        self.bytes.push(b'{');
        fields(self);
        self.bytes.push(b'}');
    }

    /// `[`, each item, `]`.
    pub fn array<T>(&mut self, items: impl IntoIterator<Item = T>, mut item: impl FnMut(&mut Self, T)) {
        self.comma();
        self.bytes.push(b'[');
        for value in items {
            item(self, value);
        }
        self.bytes.push(b']');
    }

    /// `"name":`. Names are constants of this program and need no escape.
    pub fn key(&mut self, name: &str) -> &mut Self {
        self.comma();
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b"\":");
        self
    }

    pub fn text(&mut self, value: &str) {
        self.comma();
        self.bytes.push(b'"');
        if value.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
            self.bytes.extend_from_slice(value.as_bytes());
        } else {
            self.escaped(value);
        }
        self.bytes.push(b'"');
    }

    pub fn integer(&mut self, value: impl Into<i128>) {
        self.comma();
        let value: i128 = value.into();
        match u64::try_from(value) {
            Ok(mut rest) => {
                let mut digits = [0; 20];
                let mut at = digits.len();
                loop {
                    at -= 1;
                    digits[at] = b'0' + (rest % 10) as u8;
                    rest /= 10;
                    if rest == 0 {
                        break;
                    }
                }
                self.bytes.extend_from_slice(&digits[at..]);
            }
            Err(_) => self.bytes.extend_from_slice(value.to_string().as_bytes()),
        }
    }

    /// An amount in the API's format: a text with eight decimal places.
    pub fn decimal(&mut self, value: impl Into<Amount>) {
        self.comma();
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(Decimal(value.into()).write(&mut [0; 48]).as_bytes());
        self.bytes.push(b'"');
    }

    pub fn boolean(&mut self, value: bool) {
        self.comma();
        self.bytes.extend_from_slice(if value { b"true" } else { b"false" });
    }

    pub fn null(&mut self) {
        self.comma();
        self.bytes.extend_from_slice(b"null");
    }

    /// JSON that is already serialized.
    pub fn raw(&mut self, json: &[u8]) {
        self.comma();
        self.bytes.extend_from_slice(json);
    }

    /// A comma, unless this is the first element or the value of a name.
    fn comma(&mut self) {
        if let Some(last) = self.bytes.last()
            && !matches!(last, b'{' | b'[' | b':')
        {
            self.bytes.push(b',');
        }
    }

    fn escaped(&mut self, value: &str) {
        for byte in value.bytes() {
            match byte {
                b'"' | b'\\' => self.bytes.extend_from_slice(&[b'\\', byte]),
                0..0x20 => self.bytes.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                byte => self.bytes.push(byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_and_escapes_are_right() {
        let mut json = Json::default();
        json.object(|json| {
            json.key("a").text("x\"\\\n:{");
            json.key("b").array([1i64, -2, i64::MAX], Json::integer);
            json.key("c").object(|_| {});
            json.key("d").decimal(150_000_000i64);
            json.key("e").boolean(false);
            json.key("f").null();
        });
        let text = String::from_utf8(json.into_bytes()).unwrap();
        assert_eq!(text, r#"{"a":"x\"\\\u000a:{","b":[1,-2,9223372036854775807],"c":{},"d":"1.50000000","e":false,"f":null}"#);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["a"], "x\"\\\n:{");
    }
}
