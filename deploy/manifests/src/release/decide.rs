//! This module decides whether a release may replace the deployed one (pure).

use super::ReleaseError;

/// What to do with a release.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    Write,
    /// The environment has this commit or a newer one.
    Nothing(String),
}

/// Compares the source commits by the history of the source, never by time.
pub fn decide(
    environment: &str,
    deployed: &str,
    wanted: &str,
    mut is_ancestor: impl FnMut(&str, &str) -> Result<bool, ReleaseError>,
) -> Result<Decision, ReleaseError> {
    // The first release of an environment: no commit, or a placeholder of zeros. The same commit is written again, which changes
    // nothing unless a person edited its files.
    if deployed == wanted || deployed.bytes().all(|byte| byte == b'0') || is_ancestor(deployed, wanted)? {
        return Ok(Decision::Write);
    }
    if is_ancestor(wanted, deployed)? {
        return Ok(Decision::Nothing(format!("{environment} is at {deployed} already: nothing to do")));
    }
    Err(ReleaseError::Input(format!(
        "{wanted} does not follow {deployed}, which {environment} has; deploy a commit of the main branch"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(deployed: &str, wanted: &str) -> Result<Decision, ReleaseError> {
        // a - b - c, and x apart.
        decide("staging", deployed, wanted, |older, newer| {
            Ok("abc".find(older).zip("abc".find(newer)).is_some_and(|(o, n)| o <= n))
        })
    }

    #[test]
    fn a_release_goes_forward_only() {
        assert_eq!(decided("", "a").unwrap(), Decision::Write);
        assert_eq!(decided("0000", "a").unwrap(), Decision::Write);
        assert_eq!(decided("a", "c").unwrap(), Decision::Write);
        assert_eq!(decided("b", "b").unwrap(), Decision::Write);
        assert!(matches!(decided("c", "a").unwrap(), Decision::Nothing(text) if text.contains("at c already")));
        assert!(matches!(decided("c", "x"), Err(ReleaseError::Input(text)) if text.contains("does not follow")));
    }
}
