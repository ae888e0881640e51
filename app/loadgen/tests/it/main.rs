//! Tests of the generator's programs against real ones, in their short forms.

mod simulate;
mod soak;
