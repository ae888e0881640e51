//! The emulator as bots see it.

mod client;
mod faults;
mod strict;
mod teloxide;
