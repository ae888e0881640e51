//! A strict stand-in for Telegram: the Bot API with its limits and its errors, chats that people can look at and press buttons in,
//! and faults on purpose. For tests, which hold it in their process, and for people without a bot's token, who open its page.
//!
//! What it does not model it refuses with 501, never with a success that Telegram might not give. It keeps nothing on disk.
//!
//! ```no_run
//! # async fn show() -> anyhow::Result<()> {
//! use telegram_emulator::{Emulator, Fault, FaultKind, Seed};
//!
//! let emulator = Emulator::start(Seed::demo()).await?;
//! emulator.fault(Fault::new(FaultKind::AnswerLost).on("sendMessage").times(1));
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

pub use fault::{Fault, Kind as FaultKind};
pub use limits::Limits;
pub use reply::Refusal;
pub use text::{CAPTION_UNITS, Entity, TEXT_UNITS, utf16_units};
pub use world::{
    ANONYMOUS_ADMIN, Author, Bot, BotSeed, Call, Callback, Chat, ChatSeed, Kind as ChatKind, Message, Photo, Seed,
    State as ChatState, User, UserSeed, World,
};

/// The world, and word of its changes.
struct Shared {
    world: Mutex<World>,
    version: watch::Sender<u64>,
}

impl Shared {
    fn look<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A change that nobody waits for.
    fn change_quietly<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the world and tells everybody who waits.
    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let changed = change(&mut self.world.lock().unwrap_or_else(PoisonError::into_inner));
        self.version.send_modify(|version| *version += 1);
        changed
    }
}

/// A running emulator. Dropping it ends it.
pub struct Emulator {
    shared: Arc<Shared>,
    address: SocketAddr,
    listening: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Emulator {
    /// On a free port of the loopback address.
    pub async fn start(seed: Seed) -> Result<Self> {
        Self::start_on((Ipv4Addr::LOCALHOST, 0).into(), seed).await
    }

    /// # Errors
    /// When the address is taken, or the seed is faulty.
    pub async fn start_on(address: SocketAddr, seed: Seed) -> Result<Self> {
        let world = World::new(seed).map_err(|refusal| anyhow::anyhow!("the world to begin with: {}", refusal.description))?;
        let shared = Arc::new(Shared { world: Mutex::new(world), version: watch::Sender::new(0) });
        let mut emulator = Self { shared, address, listening: None };
        emulator.listen().await?;
        Ok(emulator)
    }

    /// What a bot takes for Telegram's address.
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
            // It ends by itself now; a panic in it has been printed.
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
    pub fn fault(&self, fault: Fault) -> u64 {
        self.change(|world| {
            let now = world.now();
            world.faults.add(fault, now)
        })
    }

    pub fn clear_faults(&self) {
        self.change(|world| world.faults.clear());
    }

    /// Every call so far, in the order of their ends.
    pub fn calls(&self) -> Vec<Call> {
        self.look(|world| world.calls().cloned().collect())
    }

    /// Every message of a chat, deleted ones too.
    ///
    /// # Panics
    /// When there is no such chat.
    pub fn messages(&self, chat: i64) -> Vec<Message> {
        self.look(|world| world.chats[&chat].messages().cloned().collect())
    }

    /// A person presses a button, given by its data or its text. Returns the number of the press.
    pub fn press(&self, user: i64, chat: i64, message: i64, button: &str) -> Result<String, Refusal> {
        self.change(|world| world.press(user, chat, message, button))
    }

    /// Telegram says no more of this message than where it is (`InaccessibleMessage`), as of messages that are old.
    pub fn age(&self, chat: i64, message: i64) -> Result<(), Refusal> {
        self.change(|world| world.age(chat, message))
    }

    /// A person writes into a chat. Returns the message's number.
    pub fn say(&self, user: i64, chat: i64, text: &str) -> Result<i64, Refusal> {
        self.change(|world| world.say(user, chat, text, None, None))
    }

    /// Waits until `find` finds something.
    ///
    /// # Errors
    /// When it has not by the deadline.
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

    /// Returns when it ends, which it does not by itself.
    pub async fn serve(mut self) {
        if let Some((_, serving)) = &mut self.listening {
            // A panic in it has been printed.
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
