//! This module checks `owner.yaml`, which names the owner of the declarations. On a cluster that several folders manage, each
//! needs another owner.

use super::Checked;

const LONGEST: usize = 64;

/// Returns the owner's name.
pub fn owner(checked: &mut Checked) -> Option<String> {
    checked.known(&[], &["owner"]);
    let owner = checked.required_text(&["owner"]).map(str::to_owned);
    if let Some(owner) = &owner {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
        if owner.len() > LONGEST || !owner.bytes().all(allowed) {
            let remedy = format!("use 1 to {LONGEST} of a-z, 0-9, - _ and .");
            checked.fault(&["owner"], format!("is {owner:?}, not the name of an owner"), remedy);
        }
    }
    owner
}
