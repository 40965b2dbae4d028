// Ranked bars that move to their new places.

import { attempt, say } from "./panel.js";

const MOVE_MS = 450;

function made(name, className) {
  const element = document.createElement(name);
  element.className = className;
  return element;
}

class Row {
  constructor() {
    this.item = made("li", "rank");
    this.name = made("span", "rank-name");
    this.value = made("span", "rank-value");
    this.bar = made("span", "rank-bar");
    this.item.append(this.name, this.value, this.bar);
  }

  show(row) {
    say(this.name, row.text);
    say(this.value, row.value);
    this.bar.style.setProperty("--share", row.share.toFixed(4));
    if (this.name.title !== row.text) this.name.title = row.text;
  }
}

class Panel {
  constructor() {
    this.section = made("section", "panel");
    this.title = made("h2", "");
    this.list = made("ol", "rank-list");
    this.section.append(this.title, this.list);
    this.rows = new Map();
  }

  show(title, rows, isCalm) {
    say(this.title, title);
    const before = new Map();
    const isShown = (row) => row.item.offsetParent !== null; // the style hides those that a small screen has no room for
    for (const [key, row] of this.rows) if (isShown(row)) before.set(key, row.item.offsetTop);
    const wanted = rows.map((row) => row.key);
    for (const [key, row] of this.rows) {
      if (!wanted.includes(key)) {
        row.item.remove();
        this.rows.delete(key);
      }
    }
    rows.forEach((row, place) => {
      if (!this.rows.has(row.key)) this.rows.set(row.key, new Row());
      const shown = this.rows.get(row.key);
      shown.show(row);
      if (this.list.children[place] !== shown.item) this.list.insertBefore(shown.item, this.list.children[place] || null);
    });
    if (isCalm) return;
    for (const [key, row] of this.rows) {
      const moved = before.has(key) && isShown(row) ? before.get(key) - row.item.offsetTop : 0;
      if (moved !== 0) row.item.animate([{ transform: `translateY(${moved}px)` }, { transform: "none" }], { duration: MOVE_MS, easing: "ease-out" });
    }
  }
}

export class Ranks {
  constructor(place) {
    this.place = place;
    this.panels = new Map();
  }

  // panels: [{key, title, rows()}], whose rows are [{key, text, value, share}]: none, no panel; not to be made, a blank one.
  show(panels, word, isCalm) {
    const wanted = panels.map((panel) => panel.key);
    for (const [key, panel] of this.panels) {
      if (!wanted.includes(key)) {
        panel.section.remove();
        this.panels.delete(key);
      }
    }
    for (const panel of panels) {
      if (!this.panels.has(panel.key)) {
        const fresh = new Panel();
        this.panels.set(panel.key, fresh);
        this.place.append(fresh.section);
      }
      const shown = this.panels.get(panel.key);
      attempt(shown.section, word, () => {
        const rows = panel.rows();
        shown.section.hidden = rows.length === 0;
        shown.show(panel.title, rows, isCalm);
      });
    }
  }
}
