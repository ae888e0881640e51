//! What the operating system says about time and memory. Never: a figure of our own making.

pub mod memory;
pub mod processor;

/// The middle value (the lower of two); 0 of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}
