//! The emulator as a program: `make run` starts it, and anybody who writes a bot may.

use std::{fs, net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::Parser;
use telegram_emulator::{Emulator, Seed};

/// A stand-in for Telegram's Bot API, with a page that shows its chats.
#[derive(Parser)]
#[command(version, after_help = "Exit status: 0 after SIGTERM or SIGINT, 1 after an error, 2 wrong arguments")]
struct Arguments {
    /// Host and port; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// A JSON file with bots, people and chats [default: a small demo world, which --print-world shows]
    #[arg(long)]
    world: Option<PathBuf>,
    /// Prints the demo world and ends: a beginning for a file of one's own.
    #[arg(long)]
    print_world: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("telegram-emulator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    if arguments.print_world {
        println!("{}", serde_json::to_string_pretty(&Seed::demo()).context("writing the demo world")?);
        return Ok(());
    }
    let seed = match &arguments.world {
        Some(path) => {
            let text = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
            serde_json::from_slice(&text).with_context(|| format!("reading {}: --print-world shows the shape", path.display()))?
        }
        None => Seed::demo(),
    };
    let emulator = Emulator::start_on(arguments.listen, seed).await?;
    println!("Telegram is emulated at {} (open it in a browser)", emulator.url());
    let shutdown = service_kit::shutdown::Shutdown::new(std::time::Duration::from_secs(5));
    shutdown.on_signals().context("listening to signals")?;
    let ended = shutdown.token();
    tokio::select! {
        () = ended.cancelled() => {}
        () = emulator.serve() => {}
    }
    Ok(())
}
