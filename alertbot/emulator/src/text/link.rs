//! Which addresses Telegram takes for links.

/// What is wrong with an address, in Telegram's words; `None` when it is a link.
pub fn fault(link: &str) -> Option<String> {
    let lower = link.to_ascii_lowercase();
    if lower.starts_with("tg:") {
        return None;
    }
    let (scheme, rest) = lower.split_once("://").unwrap_or(("http", &lower));
    if !["http", "https"].contains(&scheme) {
        return Some("Unsupported URL protocol".to_owned());
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if host.is_empty() {
        return Some("URL host is empty".to_owned());
    }
    if host.chars().any(|character| character.is_whitespace()) {
        return Some("Disallowed character in URL host".to_owned());
    }
    // The reason why `http://localhost:9093` is no link on a phone.
    let is_address = host.starts_with('[');
    (!is_address && !host.split(':').next().unwrap_or_default().contains('.')).then(|| "Wrong HTTP URL".to_owned())
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn a_host_without_a_dot_is_no_link() {
        for link in
            ["https://grafana.example.org/d/a?b=1", "example.org", "http://127.0.0.1:9093", "tg://user?id=1", "http://[::1]/"]
        {
            assert_eq!(fault(link), None, "{link}");
        }
        for link in ["http://localhost:9093", "http://prometheus/", "ftp://example.org", "http://", "javascript:alert(1)"] {
            assert!(fault(link).is_some(), "{link}");
        }
    }
}
