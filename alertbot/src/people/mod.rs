//! What people do with the bot: buttons and commands in Telegram, replies by SMS. Who may do what is decided here, and every
//! action is in the audit trail.

pub mod reply;
