//! Integration tests of `local-parts`.

mod help;
mod viewer;
