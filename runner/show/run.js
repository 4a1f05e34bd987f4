// A run is drawn here, from the data beside it. Texts become text nodes, never markup. Only the steps in sight are drawn.
(() => {
  const { add, Lanes, START } = Drawing;
  const data = JSON.parse(document.getElementById("data").textContent);
  const say = (number) => data.strings[number];
  const [steps, lanesHead, panel, actor, call, messages, count, scenario] = [
    "steps", "lanes", "step", "actor", "call", "messages", "count", "scenario",
  ].map((id) => document.getElementById(id));
  const HEIGHT = 28; // of a step
  const BEYOND = 12; // steps drawn beyond what is in sight, at each end

  // ---- the two views: what happens, and every message

  const arrivals = data.arrivals.map(([time, src, dst, message, call, sent, fields, changes], place) => ({
    number: data.first + place, time, src: say(src), dst: say(dst), message: say(message), call, sent,
    fields: fields.map(([name, value]) => [say(name), say(value)]),
    changes: changes.map((change) => change.map(say)),
  }));
  const arrival = (number) => arrivals[number - data.first];

  const story = {
    lanes: data.story.lanes.map(say),
    processes: data.story.processes,
    rows: data.story.rows.map(([number, last, time, text, label, from, to, style, failed, made, line, names]) => ({
      number, last, time, text: say(text), label: say(label), from, to, style: data.styles[style], failed, line,
      call: say(made), names: names.map(say),
    })),
  };
  const told = new Map(); // by arrival: what happens in it
  for (const row of story.rows) told.set(row.number, [...(told.get(row.number) ?? []), row]);

  const exchange = {
    lanes: data.exchange.lanes.map(say),
    processes: data.exchange.processes,
    rows: arrivals.map((its, place) => {
      const [from, to] = data.exchange.rows[place];
      const rows = told.get(its.number) ?? [];
      const events = rows.map((row) => row.text).filter(Boolean);
      const style = from === to ? "note" : its.call < 0 ? "return" : "message";
      return {
        number: its.number, last: its.number, time: its.time, label: its.message, from, to, style,
        text: [its.message, ...events].join(" · "), failed: rows.some((row) => row.failed),
        line: rows.find((row) => row.line)?.line ?? 0, call: rows.find((row) => row.call)?.call ?? "",
        names: [its.src, its.dst],
      };
    }),
  };

  for (const view of [story, exchange]) {
    let rows = [];
    const remarks = [...data.remarks];
    view.rows.forEach((row, place) => {
      rows.push(row);
      const following = view.rows[place + 1]?.number ?? Infinity;
      while (remarks.length && remarks[0][0] < following) {
        const [number, kind, text] = remarks.shift();
        rows.push({ number, last: 0, time: row.time, text: say(text), label: "", from: 0, to: 0, style: "", kind,
          line: 0, call: "", names: [] });
      }
    });
    let state = START;
    for (const row of rows) {
      row.state = state;
      state = row.style ? new Lanes(view.lanes.length, view.processes, 0, false).after(state, row.from, row.to, row.style) : state;
      row.count = 0;
      for (let number = row.number; number <= row.last; number++) row.count += arrival(number)?.changes.length ?? 0;
    }
    view.all = rows;
  }

  // ---- what is shown, and where one is

  let view = story;
  let shown = story.all;
  let at = 0;
  let lanes = new Lanes(0, 0, 0, false);
  const room = add(steps, "div", { class: "room", role: "presentation" });
  const drawn = new Map(); // the elements of those that are drawn, by their places

  function filter() {
    view = messages.checked ? exchange : story;
    const wanted = (row) => row.kind || ((!actor.value || row.names.includes(actor.value)) && (!call.value || row.call === call.value));
    shown = view.all.filter(wanted);
    const steps = shown.filter((row) => !row.kind).length;
    const all = view.rows.length;
    count.textContent = steps === all ? `${all.toLocaleString("en")} steps` : `${steps.toLocaleString("en")} of ${all.toLocaleString("en")} steps`;
    layout();
  }

  function layout() {
    const width = steps.clientWidth;
    const narrow = width < 700;
    const many = view.lanes.length;
    const lane = narrow
      ? Math.min(Math.max(Math.floor((width * 0.42) / many), 12), 40)
      : Math.min(Math.max(Math.floor((width * 0.55) / many), 26), 128);
    lanes = new Lanes(many, view.processes, lane, narrow || lane < 48);
    lanes.y = lanes.narrow ? 14 : 19;
    lanesHead.replaceChildren();
    lanesHead.className = lane < 64 ? "upright" : "";
    view.lanes.forEach((name, number) => {
      const head = add(lanesHead, "span", number > view.processes ? { class: "object" } : {}, name);
      head.style.width = `${lane}px`;
      head.title = name;
    });
    room.style.height = `${shown.length * HEIGHT}px`;
    drawn.clear();
    room.replaceChildren();
    draw();
  }

  function draw() {
    const first = Math.max(Math.floor(steps.scrollTop / HEIGHT) - BEYOND, 0);
    const last = Math.min(Math.ceil((steps.scrollTop + steps.clientHeight) / HEIGHT) + BEYOND, shown.length);
    for (const [place, its] of drawn) {
      if (place < first || place >= last) {
        its.remove();
        drawn.delete(place);
      }
    }
    for (let place = first; place < last; place++) if (!drawn.has(place)) drawn.set(place, step(shown[place], place));
  }

  function step(row, place) {
    const its = add(room, "div", { role: "option", id: `step-${place}`, class: `step ${row.kind ?? ""}${row.failed ? " failed" : ""}${place % 2 ? " even" : ""}`,
      "aria-setsize": shown.length, "aria-posinset": place + 1, "aria-selected": `${place === at}` });
    its.style.top = `${place * HEIGHT}px`;
    add(its, "span", { class: "at" }, row.kind ? "" : `${row.number}`);
    const between = add(its, "span", { class: "between", "aria-hidden": "true" });
    between.style.width = `${lanes.width * lanes.count}px`;
    lanes.draw(between, row.state, row.from, row.to, row.style, row.label);
    const time = row.style === "time" || !row.time ? "" : ` (${row.time} s)`;
    add(its, "span", { class: "said" }, row.kind ? row.text : `${row.text || row.label}${time}`);
    if (row.count) add(its, "span", { class: "delta" }, `Δ ${row.count}`);
    its.addEventListener("click", () => go(place));
    return its;
  }

  function mark() {
    for (const other of room.querySelectorAll("[aria-selected=true]")) other.setAttribute("aria-selected", "false");
    const its = document.getElementById(`step-${at}`);
    if (its) {
      its.setAttribute("aria-selected", "true");
      steps.setAttribute("aria-activedescendant", its.id);
    } else {
      steps.removeAttribute("aria-activedescendant");
    }
  }

  function go(place, quietly = false) {
    if (!shown.length) return panel.replaceChildren();
    at = Math.min(Math.max(place, 0), shown.length - 1);
    const [top, bottom] = [at * HEIGHT, (at + 1) * HEIGHT];
    if (top < steps.scrollTop) steps.scrollTop = top;
    if (bottom > steps.scrollTop + steps.clientHeight) steps.scrollTop = bottom - steps.clientHeight;
    draw();
    mark();
    tell(shown[at]);
    if (!quietly) address();
  }

  // The address says where one is; browsers refuse to be told too often.
  let since = -Infinity;
  let telling = 0;
  function address() {
    clearTimeout(telling);
    const wait = since + 200 - performance.now();
    if (wait > 0) {
      telling = setTimeout(address, wait);
      return;
    }
    since = performance.now();
    if (shown[at]) history.replaceState(null, "", `#${shown[at].number}`);
  }

  // Shows an arrival: in the view there is if it is in it, else among all messages.
  function goTo(number) {
    const find = () => shown.findIndex((row) => !row.kind && row.number === number);
    if (find() < 0) {
      actor.value = call.value = "";
      filter();
    }
    if (find() < 0 && arrival(number)) {
      messages.checked = true;
      filter();
    }
    const place = find();
    if (place >= 0) go(place);
    return place >= 0;
  }

  // Keeps to what one looks at while a filter changes.
  function refilter() {
    const number = shown[at]?.number ?? 0;
    filter();
    const place = shown.findLastIndex((row) => row.number <= number);
    go(Math.max(place, 0));
  }

  // ---- the step one is at

  function link(place, number) {
    add(place, "a", { href: `#${number}` }, `${number}`);
  }

  function tell(row) {
    panel.replaceChildren();
    if (row.kind) {
      add(panel, "p", { class: "head" }, row.text);
      for (const more of data.more[row.kind] ?? []) add(panel, "p", {}, say(more));
    } else {
      const until = row.last > row.number ? ` to ${row.last}` : "";
      add(panel, "p", { class: "head" }, `${row.number}${until}${row.time ? `, ${row.time} s` : ""}: ${row.text || row.label}`);
    }
    const its = arrival(row.number);
    if (its && !row.kind) {
      const said = add(panel, "p", {}, `${its.message} from ${its.src} to ${its.dst}`);
      if (its.sent) {
        said.append(", sent in arrival ");
        link(said, its.sent);
      }
      if (its.fields.length) {
        const fields = add(panel, "dl", { class: "fields" });
        for (const [name, value] of its.fields) {
          if (value === "") continue;
          add(fields, "dt", {}, name);
          add(fields, "dd", {}, value);
        }
      }
    }
    changes(row);
    for (const line of scenario.children) line.classList.toggle("now", Number(line.dataset.line) === row.line && row.line > 0);
    const now = scenario.querySelector(".now");
    if (now) scenario.scrollTop = now.offsetTop - scenario.offsetTop - scenario.clientHeight / 2;
  }

  // What changed, by the actor whose state it is.
  function changes(row) {
    const by = new Map();
    for (let number = row.number; number <= row.last; number++) {
      const its = arrival(number);
      if (its?.changes.length) by.set(its.dst, [...(by.get(its.dst) ?? []), ...its.changes.map((change) => [number, ...change])]);
    }
    for (const [who, all] of by) {
      add(panel, "h3", {}, who);
      const list = add(panel, "ul", { class: "changes" });
      for (const [number, subject, before, after] of all) {
        const item = add(list, "li");
        add(item, "b", {}, subject);
        item.append(": ");
        if (before) {
          add(item, "span", { class: "was" }, before);
          item.append(" → ");
        }
        item.append(after);
        if (row.last > row.number) {
          item.append(" (");
          link(item, number);
          item.append(")");
        }
      }
    }
    if (!by.size && !row.kind) add(panel, "p", {}, "Nothing changes.");
  }

  // ---- keys

  const changed = (way) => {
    for (let place = at + way; place >= 0 && place < shown.length; place += way) if (shown[place].count) return place;
    return at;
  };
  const KEYS = {
    ArrowDown: () => go(at + 1), ArrowRight: () => go(at + 1), j: () => go(at + 1),
    ArrowUp: () => go(at - 1), ArrowLeft: () => go(at - 1), k: () => go(at - 1),
    PageDown: () => go(at + 10), PageUp: () => go(at - 10), Home: () => go(0), End: () => go(shown.length - 1),
    c: () => go(changed(1)), C: () => go(changed(-1)),
    v: () => {
      const place = shown.findIndex((row) => row.kind === "broken");
      if (place >= 0) go(place);
    },
    m: () => {
      messages.checked = !messages.checked;
      refilter();
    },
    Escape: () => {
      actor.value = call.value = "";
      refilter();
    },
  };

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || /^(SELECT|INPUT|TEXTAREA|A)$/.test(event.target.tagName)) return;
    if (event.target.tagName === "PRE" && event.key.length > 1) return; // it scrolls
    const does = KEYS[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  });
  for (const input of [actor, call, messages]) input.addEventListener("change", refilter);
  document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
  steps.addEventListener("scroll", () => requestAnimationFrame(draw));
  let width = 0;
  addEventListener("resize", () => {
    if (steps.clientWidth === width) return;
    width = steps.clientWidth;
    layout();
    go(at, true);
  });
  const route = () => /^#\d+$/.test(location.hash) && goTo(Number(location.hash.slice(1)));
  addEventListener("hashchange", route);

  for (const [input, values] of [[actor, data.actors], [call, data.calls]]) {
    for (const [value, name] of values) add(input, "option", { value: say(value) }, say(name));
  }
  width = steps.clientWidth;
  filter();
  if (!route()) go(0, true);
})();
