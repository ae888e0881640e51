//! This crate emulates Telegram's Bot API: its limits and errors, chats in which people press buttons, and injected faults.
//!
//! - Tests run it in their process. People without a bot's token open its page.
//! - Methods and parameters that it does not model are rejected with 501. It must not report a success that Telegram might refuse.
//! - It stores nothing on disk.
//!
//! ```no_run
//! # async fn show() -> anyhow::Result<()> {
//! use telegram_emulator::{Emulator, FaultKind, InjectedFault, Seed};
//!
//! let emulator = Emulator::start(Seed::demo()).await?;
//! emulator.fault(InjectedFault::new(FaultKind::AnswerLost).on("sendMessage").times(1));
//! // … a bot is pointed at emulator.url() …
//! let texts = emulator.look(|world| world.chats[&11].messages().map(|message| message.text.clone()).collect::<Vec<_>>());
//! # Ok(()) }
//! ```

mod control;
mod dispatch;
mod fault;
mod limits;
mod methods;
mod page;
mod parameters;
mod reply;
mod server;
mod text;
mod world;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

pub use fault::{FaultKind, InjectedFault};
pub use limits::TelegramLimits;
pub use reply::MethodError;
pub use text::{CAPTION_UNITS, Entity, TEXT_UNITS, utf16_units};
pub use world::{
    ANONYMOUS_ADMIN, Author, Bot, BotSeed, CallbackQuery, Chat, ChatKind, ChatMessage, ChatSeed, ChatState, Photo, RecordedCall,
    Seed, User, UserSeed, World,
};

/// The world, and the version that counts its changes.
struct Shared {
    world: Mutex<World>,
    version: watch::Sender<u64>,
}

impl Shared {
    fn look<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the world without waking waiters.
    fn change_quietly<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the world and wakes every waiter.
    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let changed = change(&mut self.world.lock().unwrap_or_else(PoisonError::into_inner));
        self.version.send_modify(|version| *version += 1);
        changed
    }
}

/// A running emulator. It stops when dropped.
pub struct Emulator {
    shared: Arc<Shared>,
    address: SocketAddr,
    listening: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Emulator {
    /// Starts on a free port of the loopback address.
    pub async fn start(seed: Seed) -> Result<Self> {
        Self::start_on((Ipv4Addr::LOCALHOST, 0).into(), seed).await
    }

    /// # Errors
    /// Returns an error if the address is in use or the seed is invalid.
    pub async fn start_on(address: SocketAddr, seed: Seed) -> Result<Self> {
        let world = World::new(seed).map_err(|refusal| anyhow::anyhow!("the world to begin with: {}", refusal.description))?;
        let shared = Arc::new(Shared { world: Mutex::new(world), version: watch::Sender::new(0) });
        let mut emulator = Self { shared, address, listening: None };
        emulator.listen().await?;
        Ok(emulator)
    }

    /// The address to set as a bot's `api_url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Listens again at the same address.
    pub async fn listen(&mut self) -> Result<()> {
        if self.listening.is_some() {
            bail!("the emulator listens already");
        }
        let listener = TcpListener::bind(self.address).await.with_context(|| format!("listening on {}", self.address))?;
        self.address = listener.local_addr().context("reading the address")?;
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server::serve(listener, Arc::clone(&self.shared), stop.clone()));
        self.listening = Some((stop, serving));
        Ok(())
    }

    /// Closes every connection and refuses new ones, as an outage of the network does.
    pub async fn refuse_connections(&mut self) {
        if let Some((stop, serving)) = self.listening.take() {
            stop.cancel();
            // The task ends after the cancellation. A panic in it was already printed.
            let _ = serving.await;
        }
    }

    pub fn look<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        self.shared.look(look)
    }

    pub fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        self.shared.change(change)
    }

    /// Switches a fault on and returns its number.
    pub fn fault(&self, fault: InjectedFault) -> u64 {
        self.change(|world| {
            let now = world.now();
            world.faults.add(fault, now)
        })
    }

    pub fn clear_faults(&self) {
        self.change(|world| world.faults.clear());
    }

    /// Every call so far, in the order of their ends.
    pub fn calls(&self) -> Vec<RecordedCall> {
        self.look(|world| world.calls().cloned().collect())
    }

    /// Every message of a chat, deleted ones too.
    ///
    /// # Panics
    /// Panics if the chat does not exist.
    pub fn messages(&self, chat: i64) -> Vec<ChatMessage> {
        self.look(|world| world.chats[&chat].messages().cloned().collect())
    }

    /// A person presses a button, identified by its data or text. Returns the number of the press.
    pub fn press(&self, user: i64, chat: i64, message: i64, button: &str) -> Result<String, MethodError> {
        self.change(|world| world.press(user, chat, message, button))
    }

    /// Presses on this message carry only its place (`InaccessibleMessage`), as for old messages.
    pub fn age(&self, chat: i64, message: i64) -> Result<(), MethodError> {
        self.change(|world| world.age(chat, message))
    }

    /// Presses on this message do not name it.
    pub fn unname(&self, chat: i64, message: i64) -> Result<(), MethodError> {
        self.change(|world| world.unname(chat, message))
    }

    /// A person writes into a chat. Returns the message's number.
    pub fn say(&self, user: i64, chat: i64, text: &str) -> Result<i64, MethodError> {
        self.change(|world| world.say(user, chat, text, None, None))
    }

    /// Waits until `find` finds something.
    ///
    /// # Errors
    /// Returns an error at the deadline.
    pub async fn until<T>(&self, deadline: Duration, mut find: impl FnMut(&World) -> Option<T>) -> Result<T> {
        let end = Instant::now() + deadline;
        let mut changes = self.shared.version.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(found) = self.look(&mut find) {
                return Ok(found);
            }
            let waited = tokio::time::timeout_at(end, changes.changed()).await;
            waited
                .with_context(|| format!("nothing of the kind in Telegram after {} s", deadline.as_secs_f32()))?
                .context("it ended")?;
        }
    }

    /// Returns when the listener ends. It ends only after a stop.
    pub async fn serve(mut self) {
        if let Some((_, serving)) = &mut self.listening {
            // A panic in it was already printed.
            let _ = serving.await;
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        if let Some((stop, _)) = &self.listening {
            stop.cancel();
        }
    }
}
