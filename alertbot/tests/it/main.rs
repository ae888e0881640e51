//! Every integration test of the alert bot, in one binary: a file per feature. Telegram is the strict emulator; Alertmanager,
//! Prometheus and the SMS gateway are real.
//!
//! Tests poll a condition with a deadline; none sleeps to wait.

mod bot;
mod payloads;
mod program;

mod absence;
mod again;
mod blind;
mod calendars;
mod change;
mod chats;
mod clock;
mod crash;
mod durable;
mod duty;
mod escalate;
mod help;
mod house;
mod input;
mod outage;
mod pair;
mod path;
mod people;
mod phone;
mod picture;
mod regroup;
mod reload;
mod silences;
mod storm;
mod traces;
mod watchdog;
mod words;
