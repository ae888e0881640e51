//! The thread that starts every child process.
//!
//! The kernel's parent-death signal means the parent *thread*. A test's thread ends with the test, and a part that
//! other tests still use would end with it; so every child is born of one thread that lives as long as the process.

use std::{
    io,
    process::{Child, Command},
    sync::{OnceLock, mpsc},
};

type Order = (Command, mpsc::Sender<io::Result<Child>>);

static ORDERS: OnceLock<mpsc::Sender<Order>> = OnceLock::new();

pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    let orders = ORDERS.get_or_init(|| {
        let (orders, received) = mpsc::channel::<Order>();
        let serve = move || {
            for (mut command, answer) in received {
                // The one who asked may have given up.
                let _ = answer.send(command.spawn());
            }
        };
        std::thread::Builder::new().name("part-spawner".into()).spawn(serve).expect("a thread for child processes");
        orders
    });
    let (answer, child) = mpsc::channel();
    let ended = || io::Error::other("the thread for child processes has ended");
    orders.send((command, answer)).map_err(|_| ended())?;
    child.recv().map_err(|_| ended())?
}
