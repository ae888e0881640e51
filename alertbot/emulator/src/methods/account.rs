//! What a bot asks and tells about itself, and its files.

use serde::Deserialize;
use serde_json::{Value, json};

use super::MethodCall;
use crate::{
    reply::{MethodError, MethodResult},
    world::World,
};

const COMMANDS: usize = 100;
const COMMAND_CHARACTERS: usize = 32;
const DESCRIPTION_CHARACTERS: usize = 256;

pub fn me(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    let mut me = world.bots[call.bot].json();
    for able in ["supports_inline_queries", "can_connect_to_business", "has_main_web_app", "can_read_all_group_messages"] {
        me[able] = false.into();
    }
    me["can_join_groups"] = true.into();
    Ok(me)
}

#[derive(Deserialize)]
struct Command {
    command: String,
    description: String,
}

/// Commands are kept apart by whom they are shown to and by language.
fn place(call: MethodCall<'_>) -> Result<String, MethodError> {
    let scope: Value = call.parameters.object("scope", "bot command scope")?.unwrap_or_else(|| json!({"type": "default"}));
    Ok(format!("{scope} {}", call.parameters.text_or_empty("language_code")))
}

pub fn set_commands(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    let commands: Value = call.parameters.object("commands", "commands")?.unwrap_or_else(|| json!([]));
    let list: Vec<Command> = serde_json::from_value(commands.clone())
        .map_err(|error| MethodError::bad_request(format!("can't parse commands JSON object: {error}")))?;
    if list.len() > COMMANDS {
        return Err(MethodError::bad_request("BOT_COMMANDS_TOO_MUCH"));
    }
    for Command { command, description } in list {
        let fits = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_';
        let command = command.strip_prefix('/').unwrap_or(&command);
        if command.is_empty() || command.len() > COMMAND_CHARACTERS || !command.chars().all(fits) {
            return Err(MethodError::bad_request("BOT_COMMAND_INVALID"));
        }
        if !(1..=DESCRIPTION_CHARACTERS).contains(&description.chars().count()) {
            return Err(MethodError::bad_request("BOT_COMMAND_DESCRIPTION_INVALID"));
        }
    }
    let place = place(call)?;
    world.bots[call.bot].commands.insert(place, commands);
    Ok(json!(true))
}

pub fn commands(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    let place = place(call)?;
    Ok(world.bots[call.bot].commands.get(&place).cloned().unwrap_or_else(|| json!([])))
}

pub fn delete_commands(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    let place = place(call)?;
    world.bots[call.bot].commands.remove(&place);
    Ok(json!(true))
}

pub fn file(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    let id = call.parameters.text_or_empty("file_id");
    if id.is_empty() {
        return Err(MethodError::bad_request("file_id not specified"));
    }
    let content = world.file(&id).ok_or_else(|| MethodError::bad_request("invalid file_id"))?;
    Ok(json!({"file_id": id, "file_unique_id": id, "file_size": content.len(), "file_path": id}))
}
