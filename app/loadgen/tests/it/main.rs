//! Tests of the generator's programs against real ones, in their short forms.

mod help;
mod simulate;
mod soak;
