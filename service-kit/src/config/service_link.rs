//! This module recognizes the variables that Kubernetes and Docker set for a service or a link.
//!
//! A Service named `shop` puts `SHOP_PORT`, `SHOP_SERVICE_HOST` and others into every container of its namespace. They
//! share the program's prefix, and the program must start although it never asked for them.
//! Source: <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>.

use std::ffi::OsStr;

const TRANSPORTS: [&str; 3] = ["tcp", "udp", "sctp"];

/// Whether `name` and `value` have the form of a service link. `rest` is the name after the program's prefix.
///
/// A bare `PORT` counts only with an address such as `tcp://10.0.0.1:80`: `SHOP_PORT=8080` is a misspelt setting.
pub(super) fn is_service_link(rest: &str, value: &OsStr) -> bool {
    let parts: Vec<&str> = rest.split('_').collect();
    (0..parts.len()).any(|start| match &parts[start..] {
        ["SERVICE", "HOST"] => true,
        ["SERVICE", "PORT", ..] => is_number(value.to_str().unwrap_or_default()),
        ["PORT"] => is_address(value),
        ["PORT", port, transport] | ["PORT", port, transport, "PROTO" | "PORT" | "ADDR"] => {
            is_number(port) && TRANSPORTS.iter().any(|known| known.eq_ignore_ascii_case(transport))
        }
        _ => false,
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_address(value: &OsStr) -> bool {
    let scheme = value.to_str().and_then(|text| text.split_once("://")).map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| TRANSPORTS.contains(&scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognizes_links_but_not_misspelt_settings() {
        for (rest, value) in [
            ("SERVICE_HOST", "10.0.0.11"),
            ("SERVICE_PORT", "9095"),
            ("SERVICE_PORT_HTTP_ADMIN", "9095"),
            ("PORT", "tcp://10.0.0.11:9095"),
            ("PORT", "sctp://[fd00::1]:9095"),
            ("PORT_9095_TCP", "tcp://10.0.0.11:9095"),
            ("PORT_9095_TCP_ADDR", "10.0.0.11"),
            ("PORT_9095_UDP_PROTO", "udp"),
            ("PORT_9095_SCTP_PORT", "9095"),
            ("SERVICE_PORT", "tcp://10.0.0.11:9095"), // of a Service named `shop-service`
            ("ADMIN_SERVICE_HOST", "10.0.0.12"),
            ("BLUE_ADMIN_PORT_9096_TCP_PORT", "9096"),
        ] {
            assert!(is_service_link(rest, OsStr::new(value)), "{rest}={value}");
        }
        for (rest, value) in [
            ("PORT", "9095"),
            ("PORT_9095", "9095"),
            ("PORT_HTTP_TCP", "9095"),
            ("PORT_9095_TCP_NAME", "x"),
            ("SERVICE_PORT", "lots"),
            ("SERVICE_HOSTS", "10.0.0.11"),
            ("LOG_LEVL", "info"),
            ("", ""),
        ] {
            assert!(!is_service_link(rest, OsStr::new(value)), "{rest}={value}");
        }
    }
}
