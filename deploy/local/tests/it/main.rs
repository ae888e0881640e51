//! Integration tests of `local-parts`.

mod help;
