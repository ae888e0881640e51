//! This module reads time and memory from the operating system. It must not estimate a figure.

pub mod memory;
pub mod processor;

/// The middle value (the lower of two); 0 for an empty list.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}
