// What a cell opens is drawn here, from the data beside it. Texts become text nodes, never markup.
(() => {
  const { add, Lanes, START } = Drawing;
  const data = JSON.parse(document.getElementById("data").textContent);
  const matrix = document.getElementById("matrix");
  const article = document.getElementById("cell");
  const title = document.title;
  const say = (number) => data.strings[number];
  let open = -1; // the cell that is shown
  let drawn = 0; // the width for which it was drawn
  let printing = false;

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
    const lanes = new Lanes(its.lanes.length, its.processes, width, narrow);
    let state = START;
    const half = its.hidden ? its.rows.length / 2 : -1;
    let before = 0;
    let now = 0;
    its.rows.forEach(([arrival, time, number], place) => {
      if (place === half) {
        state = { ...state, bars: START.bars };
        remark(body, "gap", lanes, state, `${its.hidden.toLocaleString("en")} rows are left out here; the command shows all`);
      }
      const [text, label, from, to, style, failed, ...changes] = data.steps[number];
      const row = add(body, "tr", failed ? { class: "failed" } : {});
      const at = add(row, "td", { class: "at" });
      if (arrival !== before) add(at, "span", {}, `${arrival}`);
      if (time !== now) add(at, "span", {}, `${time} s`);
      lanes.draw(lanes.cell(row), state, from, to, data.styles[style], say(label));
      state = lanes.after(state, from, to, data.styles[style]);
      const what = add(add(row, "td"), "div", { class: "what" });
      add(what, "div", { class: "text" }, say(text));
      if (changes.length) list(what, changes);
      before = arrival;
      now = time;
      for (const [behind, rule] of its.broken) if (behind === place) remark(body, "broken", lanes, state, `✗ ${say(rule)}`);
    });
    for (const waiting of its.waiting) remark(body, "waiting", lanes, state, `At the end: ${say(waiting)}`);
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

  function remark(body, name, lanes, state, text) {
    const row = add(body, "tr", { class: name });
    add(row, "td");
    lanes.draw(lanes.cell(row), state, 0, 0, "", "");
    add(add(row, "td"), "div", { class: "what" }, text);
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
