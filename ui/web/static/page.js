// Runs once, when the element for answers is on the page: `element` is it, `trigger` sends an event to the server.
const find = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const SEARCH = "Search";

// ---- Addresses: the search, and (v, t) the moment that is playing.

const addressNow = () => {
  const asked = new URLSearchParams(location.search);
  const playing = asked.get("v") ? { video: asked.get("v"), time: Number(asked.get("t")) || 0 } : null;
  // Parameters of Gradio, and of what is playing.
  ["v", "t", "__theme", "view", "page", "deep_link", "token"].forEach((name) => asked.delete(name));
  return { address: asked.toString(), playing };
};

const addressOf = (address, playing) => {
  const asked = new URLSearchParams(address);
  const theme = new URLSearchParams(location.search).get("__theme");
  if (playing) {
    asked.set("v", playing.video);
    asked.set("t", String(Math.round(playing.time * 10) / 10));
  }
  if (theme) asked.set("__theme", theme);
  const text = asked.toString();
  return text ? `?${text}` : location.pathname;
};

const sameAddress = (one, other) => {
  const [left, right] = [one, other].map((address) => {
    const asked = new URLSearchParams(address);
    asked.sort();
    return asked.toString();
  });
  return left === right;
};

// The last search asked for, until it is answered; `fromAddress` if it is in the browser's address already. Only one
// request is sent at a time: Gradio would send the first one's address again for those made meanwhile.
const LONGEST_WAIT_MS = 15000;
let awaited = null;
let underWay = null;
let shown = null;
const send = () => {
  underWay = { address: awaited.address, since: Date.now() };
  trigger("select", { address: awaited.address, again: awaited.again });
};
const ask = (address, fromAddress = false, again = false) => {
  awaited = { address, fromAddress, again };
  if (!underWay || Date.now() - underWay.since > LONGEST_WAIT_MS) send();
};

// ---- The player.

const clockOf = (seconds) => {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
};

const player = { moment: null, info: null, way: "auto", offset: 0, moments: [], ticket: 0 };
const video = () => find(".ss-player video");
const timeNow = () => player.offset + (video()?.currentTime ?? 0);

const say = (text) => {
  const trouble = find(".ss-player .ss-trouble");
  trouble.textContent = text;
  trouble.hidden = !text;
};

const reasonOf = async (answer) => {
  const body = await answer.json().catch(() => ({}));
  return typeof body.detail === "string" ? body.detail : `The server answered ${answer.status}.`;
};

const fetched = async (address) => {
  const answer = await fetch(address, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(await reasonOf(answer));
  return answer.json();
};

const start = () => video().play().catch(() => {}); // a browser may demand a click on the controls first

const seek = (time) => {
  const screen = video();
  if (player.info.way === "direct" && player.way === "auto") {
    player.offset = player.info.stream_start_s;
    player.ticket += 1;
    const { ticket } = player;
    const go = () => {
      if (player.ticket !== ticket) return;
      screen.currentTime = Math.max(0, time - player.offset);
      start();
    };
    if (screen.readyState >= 1) go();
    else screen.addEventListener("loadedmetadata", go, { once: true });
    return;
  }
  const inStream = time - player.offset;
  const buffered = screen.buffered;
  for (let index = 0; index < buffered.length; index += 1) {
    if (buffered.start(index) <= inStream && inStream < buffered.end(index)) {
      screen.currentTime = inStream;
      start();
      return;
    }
  }
  openStream(time);
};

const openStream = async (time) => {
  const screen = video();
  player.ticket += 1;
  const { ticket } = player;
  const info = await fetched(`/media/${player.moment.video}/info?start=${time.toFixed(3)}&way=${player.way}`);
  if (player.ticket !== ticket) return;
  player.offset = info.stream_start_s;
  screen.src = info.src;
  screen.addEventListener("loadedmetadata", () => {
    if (player.ticket !== ticket) return;
    say("");
    screen.currentTime = Math.max(0, time - player.offset);
    start();
  }, { once: true });
};

const stop = () => {
  const screen = video();
  player.ticket += 1;
  screen.pause();
  screen.removeAttribute("src");
  screen.load();
};

const play = async (moment) => {
  const frame = find(".ss-player");
  const isSame = player.moment?.video === moment.video && player.info;
  player.moment = moment;
  frame.dataset.state = "playing";
  say("");
  markPlaying();
  showTitle(moment.name ?? "");
  history.replaceState(null, "", addressOf(addressNow().address, moment));
  try {
    if (!isSame) {
      stop();
      player.info = null;
      player.way = "auto";
      player.moments = [];
      const info = await fetched(`/media/${moment.video}/info`);
      if (player.moment !== moment) return;
      player.info = info;
      showTitle(moment.name || info.title || "");
      find(".ss-player [data-length]").textContent = clockOf(info.duration_s);
      if (info.way === "direct") video().src = info.src;
    }
    if (!player.info.way) throw new Error(player.info.reason || "This video cannot be played.");
    seek(moment.time);
    if (!isSame) await showTimeline(moment);
  } catch (error) {
    if (player.moment !== moment) return;
    stop();
    say(error.message);
  }
  if (matchMedia("(max-width: 60rem)").matches) frame.scrollIntoView({ behavior: "smooth", block: "start" });
};

// Why the server refuses to play an address, or null. Asking by HEAD starts no conversion.
const refusalOf = async (address) => {
  const asked = await fetch(address, { method: "HEAD" });
  if (asked.ok) return null;
  const asking = new AbortController();
  const answer = await fetch(address, { signal: asking.signal });
  const detail = answer.ok ? `The server answered ${asked.status}.` : await reasonOf(answer);
  asking.abort();
  return { detail, isBusy: asked.status === 503, waitMs: 1000 * (Number(asked.headers.get("Retry-After")) || 5) };
};

// Wait while the server is busy. Ask once more, converted, for what the browser cannot play after all.
const failed = async (address) => {
  const { ticket } = player;
  const refusal = await refusalOf(address).catch(() => ({ detail: "The server does not answer." }));
  if (player.ticket !== ticket) return;
  const from = Math.max(player.moment.time, timeNow());
  if (refusal?.isBusy) {
    say(`${refusal.detail} This one begins as soon as there is room.`);
    setTimeout(() => {
      if (player.ticket === ticket) openStream(from).catch((error) => say(error.message));
    }, refusal.waitMs);
  } else if (!refusal && player.way === "auto") {
    player.way = "transcode";
    await openStream(from).catch((error) => say(error.message));
  } else {
    say(refusal?.detail ?? "This browser cannot play this video.");
  }
};

const showTitle = (name) => { find(".ss-player .ss-title bdi").textContent = name; };

const showTimeline = async (moment) => {
  const bar = find(".ss-player .ss-timeline");
  bar.replaceChildren();
  const { address } = addressNow();
  const isAnswered = address && !find(".ss-error", element);
  const { moments } = isAnswered
    ? await fetched(`/moments/${moment.video}?${address}`).catch(() => ({ moments: [] })) : { moments: [] };
  if (player.moment?.video !== moment.video || addressNow().address !== address) return;
  player.moments = moments;
  const length = Math.max(player.info.duration_s, 0.001);
  bar.append(...moments.map((each) => {
    const mark = document.createElement("button");
    mark.type = "button";
    mark.style.left = `${(100 * each.start_s) / length}%`;
    mark.style.width = `max(8px, ${(100 * (each.end_s - each.start_s)) / length}%)`;
    mark.style.setProperty("--strength", String(0.35 + 0.65 * each.strength));
    mark.title = `${clockOf(each.start_s)} – ${clockOf(each.end_s)}`;
    mark.setAttribute("aria-label", `Play from ${clockOf(each.time_s)}`);
    mark.addEventListener("click", (event) => {
      event.stopPropagation();
      play({ video: moment.video, name: moment.name, start: each.start_s, end: each.end_s, time: each.time_s });
    });
    return mark;
  }));
  const head = document.createElement("span");
  head.className = "ss-head";
  bar.append(head);
  showTime();
};

const repeats = () => find(".ss-player [data-loop]").checked && player.moment.end > player.moment.start;

const showTime = () => {
  if (!player.info) return;
  const now = timeNow();
  const { moment } = player;
  if (repeats() && (now >= moment.end || now < moment.start - 1)) seek(moment.start);
  find(".ss-player [data-now]").textContent = clockOf(now);
  const head = find(".ss-player .ss-head");
  if (head) head.style.left = `${Math.min(100, (100 * now) / Math.max(player.info.duration_s, 0.001))}%`;
};

const step = (by) => {
  const ordered = [...player.moments].sort((one, other) => one.start_s - other.start_s);
  const now = timeNow();
  const next = by > 0 ? ordered.find((each) => each.start_s > now + 0.5)
    : ordered.filter((each) => each.end_s < now - 0.5 || each.start_s < now - 2).pop();
  if (next) play({ ...player.moment, start: next.start_s, end: next.end_s, time: next.time_s });
};

const seekFromBar = (event, bar) => {
  const box = bar.getBoundingClientRect();
  const time = ((event.clientX - box.left) / box.width) * player.info.duration_s;
  player.moment = { ...player.moment, start: time, end: time, time };
  seek(time);
};

const markPlaying = () => all(".ss-card").forEach((card) => {
  const { moment } = player;
  const isIt = moment && card.dataset.video === moment.video && Number(card.dataset.start) === moment.start;
  card.classList.toggle("ss-playing", Boolean(isIt));
  if (isIt) card.setAttribute("aria-current", "true");
  else card.removeAttribute("aria-current");
});

const momentOf = (card) => ({
  video: card.dataset.video,
  name: card.dataset.name,
  start: Number(card.dataset.start),
  end: Number(card.dataset.end),
  time: Number(card.dataset.time),
});

// ---- What a visitor clicks and types.

const openTab = (name) => {
  const tab = all('button[role="tab"]').find((button) => button.textContent.trim() === name);
  if (tab) tab.click();
};

const copyLink = async (button) => {
  const { address } = addressNow();
  const moment = momentOf(button.closest(".ss-card"));
  const link = new URL(addressOf(address, moment), location.href).href;
  let label = "Copied";
  try {
    await navigator.clipboard.writeText(link);
  } catch {
    prompt("The link to this moment:", link);
    label = "Copy link";
  }
  button.textContent = label;
  setTimeout(() => { button.textContent = "Copy link"; }, 1500);
};

// Pressing a link does not leave the field that is being typed in, which would start a search of its own.
document.addEventListener("mousedown", (event) => {
  if (event.target.closest?.("a[data-go]")) event.preventDefault();
});

document.addEventListener("click", (event) => {
  if (event.target.closest('[role="tab"]')) lookForNews();
  const target = event.target.closest("a, button, .ss-card, .ss-timeline, label");
  if (!target) return;
  if (target.matches("a[data-go]")) {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const address = "like" in target.dataset && player.moment
      ? `like=${encodeURIComponent(`${player.moment.video}@${timeNow().toFixed(3)}`)}`
      : target.getAttribute("href").slice(1);
    ask(address);
  } else if (target.matches("[data-tab]")) openTab(target.dataset.tab);
  else if (target.matches("[data-copy]")) copyLink(target);
  else if (target.matches("[data-step]")) step(Number(target.dataset.step));
  else if (target.matches(".ss-timeline") && player.info) seekFromBar(event, target);
  else if (target.matches("[data-play], .ss-card")) play(momentOf(target.closest(".ss-card")));
});

const isTyping = (target) => target.closest?.("input, textarea, select, [contenteditable], video, [role=listbox]");

const focusCard = (by) => {
  const cards = all(".ss-card [data-play]");
  const index = cards.indexOf(document.activeElement);
  const next = cards[index < 0 ? 0 : Math.min(cards.length - 1, Math.max(0, index + by))];
  if (!next) return;
  next.focus({ preventScroll: true });
  next.closest(".ss-card").scrollIntoView({ block: "nearest" });
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && event.target.closest?.("#query")) event.target.blur();
  if (isTyping(event.target)) return;
  if (event.key === "/") {
    event.preventDefault();
    openTab(SEARCH);
    find("#query textarea, #query input")?.focus();
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    if (!find(".ss-card") || event.target.closest?.('[role="tab"], [role="slider"]')) return;
    event.preventDefault();
    focusCard(event.key === "ArrowDown" ? 1 : -1);
  }
});

window.addEventListener("popstate", () => {
  const { address, playing } = addressNow();
  if (!awaited && sameAddress(address, shown ?? "")) return;
  pending = playing;
  ask(address, true);
});

// ---- Answers.

let pending = addressNow().playing;

const answered = () => {
  const answer = find("[data-address]", element);
  if (!answer) return;
  const of = find("[data-asked]", element)?.dataset.asked;
  if (of !== undefined) underWay = null;
  if (awaited && of !== undefined && of !== awaited.address) { // another search was asked for meanwhile
    send();
    return;
  }
  const isFollowed = of !== undefined && awaited && !awaited.fromAddress;
  const isThere = of !== undefined && awaited?.fromAddress;
  const isLate = of !== undefined && !awaited && !sameAddress(answer.dataset.address, addressNow().address);
  awaited = null;
  if (isLate) { // the form was sent meanwhile, and has its address already
    ask(addressNow().address, true);
    return;
  }
  shown = answer.dataset.address;
  const { address, playing } = addressNow();
  if (!sameAddress(shown, address)) {
    if (isThere) history.replaceState(null, "", addressOf(shown, playing));
    else history.pushState(null, "", addressOf(shown, null));
    if (player.info) showTimeline(player.moment).catch((error) => say(error.message));
  }
  const heading = find("h2", answer);
  find(".ss-status").textContent = heading?.textContent ?? "";
  if (isFollowed) {
    if (element.getBoundingClientRect().top < 0) element.scrollIntoView({ block: "start" });
    heading?.focus({ preventScroll: true });
  }
  markPlaying();
  if (pending && of !== undefined) {
    const card = all(".ss-card").find((each) => each.dataset.video === pending.video
      && Math.abs(Number(each.dataset.time) - pending.time) < 0.1);
    play(card ? momentOf(card) : { video: pending.video, name: "", start: pending.time, end: pending.time, time: pending.time });
    pending = null;
  }
};

// ---- News of the library.

const BUSY_MS = 2000;
const IDLE_MS = 10000;
let nextLook = 0;
let isGrowing = false;

const showNews = ({ library, line, figures }) => {
  const panel = find("[data-library]", element);
  const hasEnded = isGrowing && !line;
  isGrowing = Boolean(line);
  const place = find(".ss-news");
  place.hidden = !line || library !== "ready";
  if (place.textContent !== line) place.textContent = line;
  if (!panel || !library || awaited) return;
  if (panel.dataset.library !== library || hasEnded) ask(addressNow().address, true, true);
  else if (figures && find("[data-growth]", panel)) find("[data-growth]", panel).innerHTML = figures;
};

const lookForNews = async () => {
  clearTimeout(nextLook);
  const news = document.hidden ? null : await fetched("/news").catch(() => null);
  if (news) showNews(news);
  clearTimeout(nextLook);
  nextLook = setTimeout(lookForNews, news?.line ? BUSY_MS : IDLE_MS);
};

document.addEventListener("visibilitychange", () => { if (!document.hidden) lookForNews(); });

new MutationObserver(answered).observe(
  element, { childList: true, subtree: true, attributeFilter: ["data-address", "data-asked"] },
);
const whenPlayerIsThere = () => {
  const screen = video();
  if (!screen) { setTimeout(whenPlayerIsThere, 50); return; }
  screen.addEventListener("timeupdate", showTime);
  screen.addEventListener("seeked", showTime);
  screen.addEventListener("ended", () => { if (repeats()) seek(player.moment.start); });
  screen.addEventListener("error", () => { if (screen.getAttribute("src") && player.info) failed(screen.src); });
  if (matchMedia("(pointer: fine)").matches) find("#query textarea, #query input")?.focus({ preventScroll: true });
  const { address } = addressNow();
  ask(address, true, !address); // text typed before the first answer stays
  lookForNews();
};
whenPlayerIsThere();
