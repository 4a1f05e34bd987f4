"use strict";
// What a cell opens is drawn here, from the data beside it. Texts become text nodes, never markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const matrix = document.getElementById("matrix");
  const article = document.getElementById("cell");
  const title = document.title;
  const say = (number) => data.strings[number];
  let open = -1; // the cell that is shown
  let drawn = 0; // the width for which it was drawn
  let printing = false;

  function add(parent, name, attributes = {}, ...texts) {
    const svg = parent.namespaceURI.endsWith("svg") || name === "svg";
    const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...texts);
    parent.append(made);
    return made;
  }

  // ---- cells

  function read(number) {
    const [hazard, diagram, ...texts] = data.cells[number];
    const [verdict, column, timers, symbol, head, what, bounds, how, expected, explained, note, command] = texts.map(say);
    return { hazard: data.hazards[hazard], diagram: data.diagrams[diagram],
      verdict, column, timers, symbol, head, what, bounds, how, expected, explained, note, command };
  }

  function show(number) {
    const cell = read(number);
    article.replaceChildren();
    add(article, "a", { class: "back", href: `#m${number}` }, "← all cells (Escape)");
    const heading = add(article, "h2", { tabindex: "-1" }, `${cell.column}, ${cell.hazard.name}, timers ${cell.timers}`);
    const facts = add(article, "div", { class: "facts" });
    verdict(add(facts, "section", { "aria-label": "what is known" }), cell);
    source(add(facts, "aside", { "aria-label": "the hazard and its source" }), cell.hazard);
    if (cell.command) replay(article, cell.command);
    if (cell.diagram) diagram(article, cell);
    document.title = `${cell.column} ${cell.hazard.file} – ${title}`;
    return heading;
  }

  function verdict(place, cell) {
    add(place, "p", { class: "head" }, `${cell.symbol} ${cell.head}`);
    const list = add(place, "dl");
    const facts = { what: cell.what, bounds: cell.bounds, "how found": cell.how, expected: cell.expected,
      because: cell.explained, schedule: cell.note };
    for (const [word, said] of Object.entries(facts)) {
      if (said) {
        add(list, "dt", {}, word);
        add(list, "dd", {}, said);
      }
    }
  }

  function source(place, hazard) {
    const tags = add(place, "p");
    for (const tag of hazard.tags) add(tags, "span", { class: "tag" }, tag);
    add(place, "p", {}, hazard.summary);
    const should = add(place, "p");
    add(should, "b", {}, "Should: ");
    should.append(hazard.should);
    const words = add(place, "blockquote", {}, hazard.words);
    add(words, "cite", {}, hazard.source);
    const details = add(place, "details");
    add(details, "summary", {}, `the scenario, ${hazard.file}`);
    add(details, "pre", { tabindex: "0" }, hazard.scenario);
  }

  function replay(place, command) {
    add(place, "h3", {}, "The command that replays it");
    const line = add(place, "div", { class: "command" });
    const code = add(line, "code", { id: "command" }, command);
    const button = add(line, "button", { type: "button" }, "Copy");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(command);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code); // it may not write to the clipboard: the reader does
        button.textContent = "Selected";
      }
    });
  }

  // ---- sequence diagrams

  const HEAD = 7; // length of the head of an arrow
  const CHARACTER = 6.35; // width of one in a label

  function diagram(place, cell) {
    const its = cell.diagram;
    add(place, "h3", {}, cell.verdict === "violated" ? "The counterexample, step by step" : "The schedule, step by step");
    const room = printing ? 1000 : article.clientWidth; // of A4 across
    const narrow = room < 700;
    const share = printing ? 0.42 : 0.5;
    const width = narrow
      ? Math.min(Math.max(Math.floor((room * 0.38) / its.lanes.length), 14), 40)
      : Math.min(Math.max(Math.floor((room * share) / its.lanes.length), 40), 128);
    const across = add(place, "div", { class: `across${narrow ? " narrow" : ""}` });
    const table = add(across, "table", { class: "run" });
    heads(add(add(table, "thead"), "tr"), its, width, narrow);
    const body = add(table, "tbody");
    const lanes = new Lanes(its, width, narrow);
    const half = its.hidden ? its.rows.length / 2 : -1;
    let before = 0;
    let now = 0;
    its.rows.forEach(([arrival, time, number], place) => {
      if (place === half) {
        remark(body, "gap", lanes, `${its.hidden.toLocaleString("en")} rows are left out here; the command shows all`);
        lanes.forget();
      }
      const [text, label, from, to, style, failed, ...changes] = data.steps[number];
      const row = add(body, "tr", failed ? { class: "failed" } : {});
      const at = add(row, "td", { class: "at" });
      if (arrival !== before) add(at, "span", {}, `${arrival}`);
      if (time !== now) add(at, "span", {}, `${time} s`);
      lanes.draw(row, from, to, data.styles[style], say(label));
      const what = add(add(row, "td"), "div", { class: "what" });
      add(what, "div", { class: "text" }, say(text));
      if (changes.length) list(what, changes);
      before = arrival;
      now = time;
      for (const [behind, rule] of its.broken) if (behind === place) remark(body, "broken", lanes, `✗ ${say(rule)}`);
    });
    for (const waiting of its.waiting) remark(body, "waiting", lanes, `At the end: ${say(waiting)}`);
  }

  function heads(row, its, width, narrow) {
    add(row, "th", { scope: "col" }, "#");
    const names = add(add(row, "th", { scope: "col", class: `lanes${width < 64 ? " upright" : ""}` }), "div");
    its.lanes.forEach((lane, number) => {
      const name = add(names, "span", number > its.processes ? { class: "object" } : {}, say(lane));
      name.style.width = `${width}px`;
    });
    const what = add(add(row, "th", { scope: "col" }), "div", { class: "what" });
    add(what, "div", {}, narrow ? "what happens, and what it changes (Δ)" : "what happens");
    if (!narrow) add(what, "div", {}, "what it changes");
  }

  function list(place, changes) {
    const its = add(place, "ul", { class: "changes" });
    for (const [subject, before, after] of changes) {
      const item = add(its, "li");
      add(item, "b", {}, say(subject));
      item.append(": ");
      if (say(before)) {
        add(item, "span", { class: "was" }, say(before));
        item.append(" → ");
      }
      item.append(say(after));
    }
  }

  function remark(body, name, lanes, text) {
    const row = add(body, "tr", { class: name });
    add(row, "td");
    lanes.draw(row, 0, 0, "", "");
    add(add(row, "td"), "div", { class: "what" }, text);
  }

  class Lanes {
    constructor(its, width, narrow) {
      this.count = its.lanes.length;
      this.processes = its.processes;
      this.width = width;
      this.narrow = narrow;
      this.y = narrow ? 12 : 21; // where the arrow of a row is
      this.forget();
      this.ended = new Set();
    }

    forget() {
      this.bars = new Map(); // of processes: in a call, or waiting
    }

    x(lane) {
      return this.width * (lane + 0.5);
    }

    draw(row, from, to, style, label) {
      const cell = add(row, "td", { class: "lanes", "aria-hidden": "true" });
      cell.style.width = cell.style.minWidth = `${this.width * this.count}px`;
      const svg = add(cell, "svg", { focusable: "false" });
      const ends = style === "end" ? from : -1;
      for (let lane = 0; lane < this.count; lane++) {
        if (this.ended.has(lane)) continue;
        const [x, kind] = [this.x(lane), lane > this.processes ? "lane object" : "lane"];
        add(svg, "line", { class: kind, x1: x, x2: x, y1: 0, y2: lane === ends ? this.y : "100%" });
      }
      this.drawBars(svg, from, to, style);
      if (style === "time") {
        const [left, right] = [this.x(0), this.x(this.count - 1)];
        add(svg, "line", { class: "arrow time", x1: left, x2: right, y1: this.y, y2: this.y });
        this.label(svg, label, (left + right) / 2, "middle", right - left);
      } else if (style === "note" || style === "end" || (style && from === to)) {
        this.note(svg, from, style, label);
      } else if (style) {
        this.arrow(svg, from, to, style, label);
      }
      if (ends >= 0) this.ended.add(ends);
    }

    drawBars(svg, from, to, style) {
      const begins = { call: "call", wait: "wait" }[style];
      const process = style === "return" ? to : from;
      for (const [lane, kind] of this.bars) {
        const changes = lane === process && (begins || style === "return" || style === "end");
        this.bar(svg, lane, kind, 0, changes ? this.y : "100%");
      }
      if (begins && process < this.processes) {
        this.bars.set(process, begins);
        this.bar(svg, process, begins, this.y, "100%");
      } else if (style === "return" || style === "end") {
        this.bars.delete(process);
      }
    }

    bar(svg, lane, kind, top, bottom) {
      // one that goes on below the row may reach into the next one, where it is drawn again
      const height = bottom === "100%" ? bottom : bottom - top;
      add(svg, "rect", { class: `bar-${kind}`, x: this.x(lane) - 3, y: top, width: 6, height });
    }

    note(svg, lane, style, label) {
      const x = this.x(lane);
      if (style === "end") {
        const d = `M${x - 5} ${this.y - 5}L${x + 5} ${this.y + 5}M${x + 5} ${this.y - 5}L${x - 5} ${this.y + 5}`;
        add(svg, "path", { class: "arrow", d });
      } else {
        add(svg, "circle", { class: "head-full", cx: x, cy: this.y, r: 3.5 });
      }
      const last = lane === this.count - 1;
      const room = this.width * (last ? lane + 0.5 : this.count - lane - 0.5);
      this.label(svg, label, x + (last ? -9 : 9), last ? "end" : "start", room, 3);
    }

    arrow(svg, from, to, style, label) {
      const way = Math.sign(to - from);
      const [start, end] = [this.x(from) + 5 * way, this.x(to) - 2 * way];
      add(svg, "line", { class: `arrow ${style}`, x1: start, x2: end, y1: this.y, y2: this.y });
      this.head(svg, end, way, style === "call" || style === "both");
      if (style === "both") this.head(svg, start, -way, false);
      this.label(svg, label, (start + end) / 2, "middle", Math.abs(end - start));
    }

    head(svg, x, way, full) {
      const [back, up, down] = [x - HEAD * way, this.y - 4, this.y + 4];
      const d = `M${back} ${up}L${x} ${this.y}L${back} ${down}`;
      add(svg, "path", full ? { class: "head-full", d: `${d}Z` } : { class: "arrow", d });
    }

    label(svg, label, x, anchor, room, lower = -5) {
      if (this.narrow) return; // the text stands beside it
      const most = Math.max(Math.floor(room / CHARACTER), 6);
      const text = label.length > most ? `${label.slice(0, most - 1)}…` : label;
      add(svg, "text", { class: "label", x, y: this.y + lower, "text-anchor": anchor }, text);
    }
  }

  // ---- the way about

  const cells = [...document.querySelectorAll("td > a")];
  const rows = [...document.querySelectorAll("tbody tr")].filter((row) => row.querySelector("td > a"));
  for (const link of cells) link.tabIndex = -1;
  if (cells.length) cells[0].tabIndex = 0;

  function enter(link) {
    for (const other of cells) if (other.tabIndex === 0) other.tabIndex = -1;
    link.tabIndex = 0;
    link.focus();
  }

  const nth = (row, place) => rows[row]?.querySelectorAll("td")[place]?.querySelector("a");

  matrix.addEventListener("keydown", (event) => {
    const here = event.target.closest?.("td > a");
    if (!here || event.ctrlKey || event.altKey || event.metaKey) return;
    const row = rows.indexOf(here.closest("tr"));
    const place = [...here.closest("tr").querySelectorAll("td")].indexOf(here.parentElement);
    const to = { ArrowLeft: [row, place - 1], ArrowRight: [row, place + 1], ArrowUp: [row - 1, place],
      ArrowDown: [row + 1, place], Home: [row, 0], End: [row, rows[row].querySelectorAll("td").length - 1] }[event.key];
    if (!to) return;
    event.preventDefault();
    const there = nth(...to);
    if (there) enter(there);
  });

  function route() {
    const number = Number(/^#c(\d+)$/.exec(location.hash)?.[1] ?? -1);
    const left = open;
    open = number < data.cells.length ? number : -1;
    matrix.hidden = open >= 0;
    article.hidden = open < 0;
    if (open >= 0) {
      drawn = article.clientWidth;
      const heading = show(open);
      scrollTo(0, 0);
      heading.focus({ preventScroll: true });
    } else {
      document.title = title;
      article.replaceChildren();
      const link = document.getElementById(`m${left}`);
      if (link) enter(link);
    }
  }

  addEventListener("hashchange", route);
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && open >= 0) location.hash = `#m${open}`;
  });
  function again() {
    if (open < 0) return;
    drawn = article.clientWidth;
    const position = scrollY;
    show(open);
    scrollTo(0, position);
  }

  addEventListener("resize", () => article.clientWidth !== drawn && again());
  for (const name of ["beforeprint", "afterprint"]) {
    addEventListener(name, () => {
      printing = name === "beforeprint";
      again();
    });
  }
  if (location.hash) route();
})();
