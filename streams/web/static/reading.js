// Any minute of the day can be read, by mouse, finger or keyboard: the same one in all charts.

const STEPS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -60, PageUp: 60 };

// The lines that tell of the minute, and where the reader's hand is.
class Reader {
  constructor(chart, move, leave) {
    this.chart = chart;
    this.hand = document.createElement("div");
    this.hand.className = "reader";
    this.hand.tabIndex = 0;
    this.hand.setAttribute("role", "slider");
    this.note = document.createElement("p");
    this.note.className = "reading";
    this.note.hidden = true;
    this.note.setAttribute("aria-hidden", "true"); // the slider tells it
    chart.svg.after(this.hand, this.note);
    const point = (event) => {
      if (chart.drawing !== null) move({ ms: chart.msAt(event.clientX - this.hand.getBoundingClientRect().left) });
    };
    this.hand.addEventListener("pointermove", point);
    this.hand.addEventListener("pointerdown", point);
    this.hand.addEventListener("pointerleave", leave);
    this.hand.addEventListener("blur", leave);
    this.hand.addEventListener("focus", () => { if (this.hand.matches(":focus-visible")) move({ by: 0 }); });
    this.hand.addEventListener("keydown", (event) => {
      const by = STEPS[event.key];
      if (by !== undefined) move({ by });
      else if (event.key === "Home") move({ by: -Infinity });
      else if (event.key === "End") move({ by: Infinity });
      else if (event.key === "Escape") leave();
      else return;
      event.preventDefault();
    });
  }

  show(ms, lines) {
    this.chart.read(ms);
    this.note.hidden = ms === null;
    if (ms === null) return;
    const pieces = lines.map((line) => Object.assign(document.createElement("span"), { textContent: line }));
    this.note.replaceChildren(...pieces);
    this.note.dataset.side = this.chart.x(ms) > (this.chart.left + this.chart.right) / 2 ? "left" : "right";
  }

  // What stands for the slider's place.
  name(label, at, most, lines) {
    const told = { "aria-label": label, "aria-valuemin": 0, "aria-valuemax": most, "aria-valuenow": at, "aria-valuetext": lines.join(", ") };
    for (const [key, value] of Object.entries(told)) {
      if (this.hand.getAttribute(key) !== String(value)) this.hand.setAttribute(key, value);
    }
  }
}

export class Reading {
  // charts: [chart, tell(minute) → lines] each
  constructor(charts) {
    this.drawing = null;
    this.minute = null;
    this.isReading = false;
    const move = (step) => this.move(step);
    this.readers = charts.map(([chart, tell]) => [new Reader(chart, move, () => this.leave()), tell]);
  }

  get most() {
    const { festival, stepMs } = this.drawing;
    return (festival.end_ms - festival.start_ms) / stepMs - 1;
  }

  // The day has gone on, or is another one.
  show(drawing, label) {
    if (this.drawing !== null && this.drawing.festival.id !== drawing.festival.id) this.leave();
    this.drawing = drawing;
    this.label = label;
    this.tell();
  }

  // To an instant, or by so many minutes: from the newest one where nothing was read before.
  move({ ms, by }) {
    if (this.drawing === null) return;
    const { festival, stepMs, openMs } = this.drawing;
    const newest = Math.floor(((openMs ?? festival.start_ms) - festival.start_ms) / stepMs) - 1;
    const wanted = ms === undefined ? (this.minute ?? newest) + by : Math.floor((ms - festival.start_ms) / stepMs);
    this.minute = Math.min(Math.max(wanted, 0), this.most);
    this.isReading = true;
    this.tell();
  }

  leave() {
    this.isReading = false;
    this.tell();
  }

  tell() {
    const { festival, stepMs, openMs } = this.drawing ?? {};
    if (festival === undefined) return;
    const newest = Math.min(Math.max(Math.floor(((openMs ?? festival.start_ms) - festival.start_ms) / stepMs) - 1, 0), this.most);
    const at = Math.min(this.minute ?? newest, this.most);
    for (const [reader, tell] of this.readers) {
      if (reader.chart.drawing === null) continue;
      const lines = tell(at);
      reader.name(this.label, at, this.most, lines);
      reader.show(this.isReading ? festival.start_ms + (at + 0.5) * stepMs : null, lines);
    }
  }
}
