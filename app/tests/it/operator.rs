//! `exchange admin`, the built program, against a running server: what it changes, what it refuses, and who is told.

mod accounts;
mod command;
mod journal;
mod keys;
mod markets;
mod money;
mod protection;
mod reach;
