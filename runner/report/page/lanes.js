"use strict";
// Lanes side by side, and what is drawn between them: shared by the pages that show a run.
const Drawing = (() => {
  function add(parent, name, attributes = {}, ...texts) {
    const svg = parent.namespaceURI.endsWith("svg") || name === "svg";
    const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...texts);
    parent.append(made);
    return made;
  }

  const HEAD = 7; // length of the head of an arrow
  const CHARACTER = 6.35; // width of one in a label

  // What is drawn before the first row: nobody is in a call or waits, and nobody has ended.
  const START = { bars: new Map(), ended: new Set() };

  class Lanes {
    constructor(count, processes, width, narrow) {
      this.count = count;
      this.processes = processes; // so many lanes are those of processes; the next one is the kernel
      this.width = width;
      this.narrow = narrow;
      this.y = narrow ? 12 : 21; // where the arrow of a row is
    }

    x(lane) {
      return this.width * (lane + 0.5);
    }

    // Makes the cell of a table that is drawn on.
    cell(row) {
      const cell = add(row, "td", { class: "lanes", "aria-hidden": "true" });
      cell.style.width = cell.style.minWidth = `${this.width * this.count}px`;
      return cell;
    }

    draw(cell, state, from, to, style, label) {
      const svg = add(cell, "svg", { focusable: "false" });
      const ends = style === "end" ? from : -1;
      for (let lane = 0; lane < this.count; lane++) {
        if (state.ended.has(lane)) continue;
        const [x, kind] = [this.x(lane), lane > this.processes ? "lane object" : "lane"];
        add(svg, "line", { class: kind, x1: x, x2: x, y1: 0, y2: lane === ends ? this.y : "100%" });
      }
      this.drawBars(svg, state, from, to, style);
      if (style === "time") {
        const [left, right] = [this.x(0), this.x(this.count - 1)];
        add(svg, "line", { class: "arrow time", x1: left, x2: right, y1: this.y, y2: this.y });
        this.label(svg, label, (left + right) / 2, "middle", right - left);
      } else if (style === "note" || style === "end" || (style && from === to)) {
        this.note(svg, from, style, label);
      } else if (style) {
        this.arrow(svg, from, to, style, label);
      }
    }

    // Returns who is in a call or waits, and who has ended, below a row.
    after(state, from, to, style) {
      const begins = { call: "call", wait: "wait" }[style];
      const process = style === "return" ? to : from;
      let { bars, ended } = state;
      if (begins && process < this.processes) {
        bars = new Map(bars).set(process, begins);
      } else if ((style === "return" || style === "end") && bars.has(process)) {
        bars = new Map(bars);
        bars.delete(process);
      }
      if (style === "end") ended = new Set(ended).add(from);
      return bars === state.bars && ended === state.ended ? state : { bars, ended };
    }

    drawBars(svg, state, from, to, style) {
      const begins = { call: "call", wait: "wait" }[style];
      const process = style === "return" ? to : from;
      for (const [lane, kind] of state.bars) {
        const changes = lane === process && (begins || style === "return" || style === "end");
        this.bar(svg, lane, kind, 0, changes ? this.y : "100%");
      }
      if (begins && process < this.processes) this.bar(svg, process, begins, this.y, "100%");
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

  return { add, Lanes, START };
})();
