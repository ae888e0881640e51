//! This module builds a signed message of the WebSocket API (web-socket-api.md, "SIGNED request security"). It must not use a
//! connection.

use super::request::Credentials;
use std::fmt::Write;

/// Builds messages one after the other in reused buffers.
#[derive(Debug, Default)]
pub struct SocketMessage {
    payload: String,
    text: String,
}

impl SocketMessage {
    /// A signed message at `timestamp` (ms). `parameters` are those of the REST API (`symbol=BTCUSDT&side=BUY`); no value needs an
    /// escape.
    pub fn signed(&mut self, id: u64, method: &str, parameters: &str, credentials: &Credentials, timestamp: u64) -> &str {
        let timestamp = timestamp.to_string();
        let mut pairs: Vec<(&str, &str)> = parameters.split('&').filter_map(|pair| pair.split_once('=')).collect();
        pairs.extend([("apiKey", credentials.api_key()), ("timestamp", &timestamp)]);
        // The signature is over the parameters in the order of their names.
        pairs.sort_unstable();
        self.payload.clear();
        self.text.clear();
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{{\"id\":{id},\"method\":\"{method}\",\"params\":{{");
        for (index, (name, value)) in pairs.iter().enumerate() {
            let _ = write!(self.payload, "{}{name}={value}", if index == 0 { "" } else { "&" });
            let _ = write!(self.text, "\"{name}\":\"{value}\",");
        }
        let signature = credentials.sign(self.payload.as_bytes());
        let _ = write!(self.text, "\"signature\":\"{}\"}}}}", String::from_utf8_lossy(&signature));
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// The example of web-socket-api.md, "SIGNED request example (HMAC)".
    #[test]
    fn the_documented_example_is_signed() {
        let key = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
        let secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";
        let credentials = Credentials::new(key, secret).unwrap();
        let parameters = "symbol=BTCUSDT&side=SELL&type=LIMIT&timeInForce=GTC&quantity=0.01000000&price=52000.00\
                          &recvWindow=100";
        let mut message = SocketMessage::default();
        let text: Value =
            serde_json::from_str(message.signed(7, "order.place", parameters, &credentials, 1_645_423_376_532)).unwrap();
        assert_eq!((&text["id"], &text["method"], &text["params"]["side"]), (&json!(7), &json!("order.place"), &json!("SELL")));
        assert_eq!(text["params"]["signature"], "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24");
    }
}
