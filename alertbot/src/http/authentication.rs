//! This module authenticates the caller of the webhook in constant time. Any credential of the configuration is accepted, so that two
//! are valid during a rotation. The ingress checks client certificates.

use axum::http::{HeaderMap, header::AUTHORIZATION};
use base64::{Engine, engine::general_purpose::STANDARD};
use subtle::{Choice, ConstantTimeEq};

use crate::config::Credentials;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallerProof {
    Accepted,
    Refused,
}

/// Compares with every credential, so that the time does not depend on the one that matches.
pub fn prove(headers: &HeaderMap, credentials: &[Credentials]) -> CallerProof {
    let Some(header) = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()) else { return CallerProof::Refused };
    let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
    let bearer = scheme.eq_ignore_ascii_case("bearer").then(|| rest.trim().as_bytes());
    let basic = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(rest.trim()).ok()).flatten();
    let mut fits = Choice::from(0);
    for credential in credentials {
        fits |= match credential {
            Credentials::Bearer(secret) => bearer.map_or(Choice::from(0), |given| given.ct_eq(secret.expose().as_bytes())),
            Credentials::Basic { user, password } => basic.as_deref().map_or(Choice::from(0), |given| {
                let expected = format!("{user}:{}", password.expose());
                given.ct_eq(expected.as_bytes())
            }),
        };
    }
    if bool::from(fits) { CallerProof::Accepted } else { CallerProof::Refused }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn each_configured_credential_is_accepted_and_no_other() {
        let credentials = [
            Credentials::Bearer("old".to_owned().into()),
            Credentials::Bearer("new".to_owned().into()),
            Credentials::Basic { user: "am".into(), password: "p:w".to_owned().into() },
        ];
        for (header, proof) in [
            ("Bearer old", CallerProof::Accepted),
            ("bearer new", CallerProof::Accepted),
            ("Basic YW06cDp3", CallerProof::Accepted),
            ("Basic YW06d3Jvbmc=", CallerProof::Refused),
            ("Basic %%%", CallerProof::Refused),
            ("Bearer ol", CallerProof::Refused),
            ("Bearer", CallerProof::Refused),
            ("old", CallerProof::Refused),
        ] {
            let headers = [(AUTHORIZATION, HeaderValue::from_static(header))].into_iter().collect();
            assert_eq!(prove(&headers, &credentials), proof, "{header}");
        }
        assert_eq!(prove(&HeaderMap::new(), &credentials), CallerProof::Refused);
    }
}
