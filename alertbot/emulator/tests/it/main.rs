//! The emulator as bots see it.

mod alertmanager;
mod client;
mod faults;
mod strict;
mod teloxide;
