// Shows the emulated chats and presses their buttons. What messages say is only ever put in as text: it comes from programs
// under test.
"use strict";

const byId = (id) => document.getElementById(id);
const seen = new Map(); // the newest message of each chat that was looked at
let world = null;
let chosen = null;
let waiting = null; // a pressed button whose answer has not come
let connected = false;

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

async function ask(method, path, body) {
  const options = { method };
  if (body !== undefined) {
    options.headers = { "content-type": "application/json" };
    options.body = JSON.stringify(body);
  }
  const reply = await fetch(`control/${path}`, options);
  const text = await reply.text();
  const answer = text ? JSON.parse(text) : {};
  if (!reply.ok) throw new Error(answer.description ?? `HTTP ${reply.status}`);
  return answer;
}

/** Says why when it does not work. */
async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    toast(error.message, true);
    return null;
  }
}

let toastEnd = 0;
function toast(text, wrong) {
  const place = byId("answer");
  place.textContent = text;
  place.classList.toggle("wrong", Boolean(wrong));
  place.hidden = false;
  clearTimeout(toastEnd);
  toastEnd = setTimeout(() => { place.hidden = true; }, 5000);
}

const user = () => Number(byId("user").value);
const current = () => world.chats.find((chat) => chat.id === chosen);
const last = (chat) => chat.messages.at(-1);

/** A private chat is between its person and the bots; nobody else sees it. */
const visible = (chat) => chat.kind !== "private" || chat.id === user();

function author(message) {
  if (message.author.bot !== undefined) return world.bots[message.author.bot].name;
  return world.users.find((person) => person.id === message.author.user)?.name ?? "Anonymous admin";
}

const TAGS = {
  bold: "b", italic: "i", underline: "u", strikethrough: "s", code: "code", pre: "pre",
  blockquote: "blockquote", expandable_blockquote: "blockquote", spoiler: "span",
};

/** Text with its entities, which nest and are counted in UTF-16 units as strings are here. */
function formatted(text, entities, from = 0, to = text.length) {
  const made = document.createDocumentFragment();
  let at = from;
  const inside = entities.filter((entity) => entity.offset >= from && entity.offset + entity.length <= to);
  inside.sort((a, b) => a.offset - b.offset || b.length - a.length);
  for (let place = 0; place < inside.length; place += 1) {
    const entity = inside[place];
    const end = entity.offset + entity.length;
    if (entity.offset < at) continue;
    made.append(text.slice(at, entity.offset));
    const within = inside.slice(place + 1).filter((other) => other.offset + other.length <= end);
    let part;
    if (entity.type === "text_link" || entity.type === "url") {
      part = element("a");
      const address = entity.url ?? text.slice(entity.offset, end);
      if (/^(https?|tg):/.test(address)) part.href = address;
      part.target = "_blank";
      part.rel = "noreferrer noopener";
      part.title = address;
    } else {
      part = element(TAGS[entity.type] ?? "span", entity.type === "spoiler" ? "spoiler" : "");
    }
    part.append(formatted(text, within, entity.offset, end));
    made.append(part);
    at = end;
  }
  made.append(text.slice(at, to));
  return made;
}

function keyboard(message) {
  const made = element("div", "keyboard");
  for (const row of message.keyboard?.inline_keyboard ?? []) {
    const line = element("div");
    for (const button of row) {
      if (button.url) {
        const link = element("a", "", button.text);
        if (/^(https?|tg):/.test(button.url)) link.href = button.url;
        link.target = "_blank";
        link.rel = "noreferrer noopener";
        line.append(link);
      } else {
        const press = element("button", "", button.text);
        press.type = "button";
        press.addEventListener("click", () => attempt(async () => {
          press.setAttribute("aria-busy", "true");
          const pressed = { user: user(), chat: message.chat, message: message.id, button: button.callback_data ?? button.text };
          waiting = (await ask("POST", "press", pressed)).callback_query_id;
          answered();
        }));
        line.append(press);
      }
    }
    made.append(line);
  }
  return made;
}

/** What the bot showed in answer to the button pressed last. */
function answered() {
  const callback = world.callbacks.find((known) => known.id === waiting);
  if (!callback || callback.answer === null) return;
  waiting = null;
  if (callback.answer) toast(callback.answer, callback.is_alert);
  draw();
}

function bubble(chat, message, fresh) {
  const item = element("li", `${message.author.user === user() ? "own" : ""} ${fresh ? "new" : ""}`.trim());
  item.dataset.message = message.id;
  const inner = element("div", "bubble");
  const head = element("div", "author", author(message));
  const topic = chat.topics[message.topic];
  if (topic) head.append(element("span", "topic", ` in ${topic}`));
  inner.append(head);
  if (message.reply_to) {
    const original = chat.messages.find((known) => known.id === message.reply_to);
    const quote = original ? original.text.split("\n")[0] || "a picture" : "an older message";
    inner.append(element("div", "reply", quote));
  }
  if (message.photo?.size) {
    const picture = element("img", "photo");
    picture.src = `control/files/${encodeURIComponent(message.photo.file_id)}`;
    [picture.width, picture.height] = message.photo.size;
    picture.alt = message.text || message.photo.name;
    inner.append(picture);
  } else if (message.photo) {
    inner.append(element("div", "reply", `document ${message.photo.name}, ${message.photo.bytes} bytes`));
  }
  const text = element("div", message.deleted ? "text deleted" : "text");
  text.append(formatted(message.text, message.entities));
  inner.append(text);
  const foot = element("div", "foot");
  const time = new Date((message.edited ?? message.date) * 1000).toLocaleTimeString();
  const marks = [message.deleted && "deleted", message.pinned && "pinned", message.silent && "no sound"];
  foot.append(marks.filter(Boolean).map((mark) => `${mark} · `).join(""));
  if (message.earlier.length > 0) {
    const before = element("details");
    before.append(element("summary", "", `edited ${message.earlier.length}×`));
    for (const earlier of message.earlier.slice(-5)) before.append(element("pre", "", earlier));
    foot.append(before, " · ");
  }
  foot.append(time);
  inner.append(foot);
  item.append(inner);
  if (!message.deleted) item.append(keyboard(message));
  return item;
}

function drawChats() {
  const list = byId("chats");
  list.replaceChildren();
  for (const chat of world.chats.filter(visible)) {
    const button = element("button");
    button.type = "button";
    button.setAttribute("aria-current", String(chat.id === chosen));
    button.append(element("span", "", chat.title));
    const unread = chat.messages.filter((message) => message.id > (seen.get(chat.id) ?? 0) && message.author.bot !== undefined);
    if (unread.length > 0 && chat.id !== chosen) {
      const muted = unread.every((message) => message.silent) ? " muted" : "";
      button.append(element("span", `unread${muted}`, String(unread.length)));
    }
    button.append(element("small", "", last(chat)?.text.split("\n")[0] ?? chat.kind));
    button.addEventListener("click", () => { chosen = chat.id; draw(true); });
    list.append(button);
  }
  // On a telephone the list is a row that is wider than the page.
  list.querySelector("[aria-current=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function drawFaults() {
  const list = byId("active");
  list.replaceChildren();
  for (const active of world.faults) {
    const fault = active.fault ?? active;
    const item = element("li", "", `${fault.kind.replaceAll("_", " ")}${fault.chat ? " in one chat" : ""}`);
    const off = element("button", "", "off");
    off.type = "button";
    off.addEventListener("click", () => attempt(() => ask("DELETE", `faults/${active.id}`)));
    item.append(off);
    list.append(item);
  }
}

function draw(chatChanged) {
  const chat = current();
  const list = byId("messages");
  const atEnd = chatChanged || list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const before = seen.get(chat.id) ?? 0;
  // Versions of a text that somebody has opened stay open.
  const open = new Set([...list.querySelectorAll("li:has(.foot details[open])")].map((item) => Number(item.dataset.message)));
  byId("title").textContent = chat.title;
  byId("about").textContent = `${chat.kind} ${chat.id}${chat.state.is === "open" ? "" : ` · ${chat.state.is}`}`;
  list.replaceChildren(...chat.messages.map((message) => bubble(chat, message, before > 0 && message.id > before)));
  for (const item of list.children) {
    const details = item.querySelector(".foot details");
    if (details && open.has(Number(item.dataset.message))) details.open = true;
  }
  if (atEnd) list.scrollTop = list.scrollHeight;
  if (last(chat)) seen.set(chat.id, last(chat).id);
  drawChats();
  drawFaults();
}

function choosePeople() {
  const list = byId("user");
  if (list.options.length > 0) return;
  for (const person of world.users) {
    const option = element("option", "", person.name);
    option.value = person.id;
    list.append(option);
  }
  list.addEventListener("change", () => {
    if (!visible(current())) chosen = world.chats.find(visible).id;
    draw(true);
  });
}

/** At first a group in which something was said, or the first group. */
function chooseChat() {
  if (chosen !== null && world.chats.some((chat) => chat.id === chosen)) return;
  const groups = world.chats.filter((chat) => chat.kind !== "private");
  const operations = groups.find((chat) => chat.title === "Operations");
  chosen = (groups.find((chat) => chat.messages.length > 0) ?? operations ?? world.chats[0]).id;
}

async function follow() {
  for (;;) {
    try {
      const next = await ask("GET", connected ? `world?since=${world.version}` : "world");
      connected = true;
      const changed = next.version !== world?.version;
      const first = world === null;
      world = next;
      byId("connection").textContent = "connected";
      choosePeople();
      chooseChat();
      if (changed) draw(first);
      answered();
    } catch (error) {
      // An emulator that was started anew counts from the beginning: the next question does not wait for a change.
      connected = false;
      byId("connection").textContent = `not connected: ${error.message}`;
      await new Promise((resolve) => { setTimeout(resolve, 1000); });
    }
  }
}

byId("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const words = byId("words");
  attempt(async () => {
    await ask("POST", "say", { user: user(), chat: chosen, text: words.value });
    words.value = "";
  });
});

byId("fault").addEventListener("submit", (event) => {
  event.preventDefault();
  const kind = byId("fault-kind").value;
  const own = { too_many_requests: { retry_after: null }, server_error: { code: 500 }, slow_answer: { milliseconds: 10000 } };
  const fault = { kind, ...own[kind], seconds: Number(byId("fault-seconds").value) };
  if (byId("fault-chat").checked) fault.chat = chosen;
  attempt(() => ask("POST", "faults", fault));
});

follow();
