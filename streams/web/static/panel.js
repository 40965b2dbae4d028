// What is written into a place of the page; and a place that cannot be filled, which says so in place of an old number.

export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Draw into a place. Where that fails the place is blanked with a word, and the rest of the page goes on.
export function attempt(place, word, draw) {
  try {
    draw();
    if (place.dataset.broken !== undefined) delete place.dataset.broken;
  } catch (error) {
    if (place.dataset.broken === undefined) console.error(error);
    place.dataset.broken = word;
    place.hidden = false;
  }
}
