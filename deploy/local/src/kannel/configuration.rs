//! Kannel's configuration file and its status page.

use std::path::Path;

use super::{KannelPorts, SmsAccess};

/// The connection that everything goes out through.
pub(super) const OUTBOUND: &str = "outbound";
const INBOUND: &str = "inbound";
/// Parts of one long message.
const PARTS: u32 = 10;

pub(super) fn text(folder: &Path, ports: KannelPorts, access: &SmsAccess, inbound_url: Option<&str>) -> String {
    let KannelPorts { admin, smsbox, sendsms, outbound, inbound } = ports;
    let SmsAccess { username, password, .. } = access;
    let store = folder.join("store").display().to_string();
    // Empty lines separate groups.
    let mut text = format!(
        r#"group = core
admin-port = {admin}
admin-interface = "127.0.0.1"
admin-password = "{password}"
admin-deny-ip = "*.*.*.*"
admin-allow-ip = "127.0.0.1"
smsbox-port = {smsbox}
smsbox-interface = "127.0.0.1"
box-deny-ip = "*.*.*.*"
box-allow-ip = "127.0.0.1"
dlr-storage = internal
store-type = file
store-location = "{store}"
sms-resend-freq = 1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {sendsms}
sendsms-interface = "127.0.0.1"
http-request-retry = 3
http-queue-delay = 1

group = sendsms-user
username = "{username}"
password = "{password}"
user-deny-ip = "*.*.*.*"
user-allow-ip = "127.0.0.1"
max-messages = {PARTS}
concatenation = true
"#
    );
    // A connection of kind "fake" listens on every address whatever its host is: others are turned away.
    for (id, port, own) in [(OUTBOUND, outbound, ""), (INBOUND, inbound, "denied-prefix = \"+;0;1;2;3;4;5;6;7;8;9\"\n")] {
        text += &format!(
            "\ngroup = smsc\nsmsc = fake\nsmsc-id = {id}\nhost = 127.0.0.1\nport = {port}\nconnect-allow-ip = 127.0.0.1\n{own}"
        );
    }
    // Without a configured text the service sends no answer.
    let answer = match inbound_url {
        Some(url) => {
            let joint = if url.contains('?') { '&' } else { '?' };
            format!("get-url = \"{url}{joint}from=%p&to=%P&text=%b&coding=%c&id=%I\"")
        }
        None => "text = \"\"".to_owned(),
    };
    text + &format!("\ngroup = sms-service\nkeyword = default\ncatch-all = true\nmax-messages = 0\n{answer}\n")
}

async fn status(url: &str) -> Option<String> {
    reqwest::get(url).await.ok()?.text().await.ok()
}

/// Whether the network is there.
pub(super) async fn is_online(url: &str, connection: &str) -> bool {
    let named = format!("{connection}[{connection}]");
    status(url).await.is_some_and(|text| text.lines().any(|line| line.contains(&named) && line.contains("(online")))
}

/// Messages of people so far: `SMS: received 2 (0 queued), sent …`.
pub(super) async fn received(url: &str) -> Option<u64> {
    let text = status(url).await?;
    let rest = text.lines().find_map(|line| line.trim().strip_prefix("SMS: received "))?;
    rest.split(' ').next()?.parse().ok()
}
