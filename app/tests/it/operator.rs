//! Tests of the built program `exchange admin` against a running server: changes, refusals, and permissions.

mod accounts;
mod command;
mod journal;
mod keys;
mod markets;
mod money;
mod protection;
mod reach;
