// The hall mode, /?hall: the page turns through its scenes by itself, each for 12 s or for as many as /?hall=30 says. The
// total and what is said of the numbers stay.

export const SCENES = ["total", "world", "curves", "ranks", "figures"];
const SCENE_SECONDS = 12;
const KEYS = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1 };

// Keep what was chosen in the page's address; null leaves it out.
export function keepInAddress(chosen) {
  const wanted = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(chosen)) {
    if (value === null) wanted.delete(name);
    else wanted.set(name, value);
  }
  const text = wanted.toString().replace(/\bhall=(?=&|$)/, "hall");
  history.replaceState(null, "", text === "" ? location.pathname : `?${text}`);
}

export class Hall {
  // `has(scene)` tells whether there is anything to see of it; `change()` that the places have other sizes.
  constructor(place, button, has, change) {
    Object.assign(this, { place, button, has, change, scene: "total", isOpen: false, isPaused: false, words: null });
    this.timer = null;
    this.seconds = SCENE_SECONDS;
    button.addEventListener("click", () => this.open(!this.isOpen));
    addEventListener("keydown", (event) => this.press(event));
    place.addEventListener("click", ({ target }) => {
      const name = target.closest("button")?.value;
      if (name === "pause") this.pause(!this.isPaused);
      else if (name !== undefined) this.turn(name);
    });
  }

  get scenes() {
    return SCENES.filter((scene) => this.has(scene));
  }

  // As the address says: what stands in it behind "hall", or null.
  begin(asked) {
    if (Number(asked) > 0) this.seconds = Number(asked);
    if (asked !== null) this.open(true);
  }

  open(isOpen) {
    this.isOpen = isOpen;
    this.isPaused = false;
    keepInAddress({ hall: isOpen ? (this.seconds === SCENE_SECONDS ? "" : String(this.seconds)) : null });
    this.turn("total");
  }

  pause(isPaused) {
    this.isPaused = isPaused;
    this.turn(this.scene);
  }

  press(event) {
    if (!this.isOpen || event.target.closest("select, input, [role=slider]") !== null) return;
    if (event.key === " " && event.target.closest("button, a") === null) this.pause(!this.isPaused);
    else if (event.key === "Escape") this.open(false);
    else if (KEYS[event.key] !== undefined) this.step(KEYS[event.key]);
    else return;
    event.preventDefault();
  }

  step(by) {
    const { scenes } = this;
    this.turn(scenes[(scenes.indexOf(this.scene) + by + scenes.length) % scenes.length] ?? "total");
  }

  turn(scene) {
    this.scene = scene;
    clearTimeout(this.timer);
    if (this.isOpen && !this.isPaused) this.timer = setTimeout(() => this.step(1), this.seconds * 1000);
    this.show();
    this.change();
  }

  // In the words of now; also where scenes have come or gone.
  show(words = this.words) {
    if (words === null) return;
    this.words = words;
    const { body } = document;
    if (this.isOpen) body.dataset.hall = this.scene;
    else delete body.dataset.hall;
    this.place.hidden = !this.isOpen;
    this.button.textContent = this.isOpen ? words.leaveHall : words.hall;
    const wanted = this.isOpen ? [...this.scenes, "pause"] : [];
    while (this.place.children.length > wanted.length) this.place.lastChild.remove();
    wanted.forEach((name, i) => {
      const button = this.place.children[i] ?? this.place.appendChild(Object.assign(document.createElement("button"), { type: "button" }));
      const text = name !== "pause" ? words.scene[name] : this.isPaused ? words.goOn : words.pause;
      if (button.textContent !== text) button.textContent = text;
      button.value = name;
      if (name === "pause") button.removeAttribute("aria-current");
      else button.setAttribute("aria-current", String(name === this.scene));
    });
  }
}
