//! The code against the declared structure and the declared interfaces.

mod floors;
mod interfaces;
mod names;
