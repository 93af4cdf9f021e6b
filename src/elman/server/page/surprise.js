// Surprise as a reader meets it. A character of probability p surprises by -log p nats.

const LIMITS = [1, 3, 5, 7]; // bits: less than 1 in 2, in 8, in 32, in 128

export function bits(nats) {
  return nats / Math.LN2;
}

// From 0, expected, to 4; null where nothing is known.
export function level(nats) {
  if (nats === undefined) return null;
  return LIMITS.filter((limit) => bits(nats) > limit).length;
}

// The probability in words: "93 %", "1 in 18".
export function chance(nats) {
  const odds = Math.exp(nats);
  if (odds < 2) return `${Math.round(100 / odds)} %`;
  return `1 in ${Math.round(odds).toLocaleString("en")}`;
}

const NAMES = new Map([[" ", "space"], ["\n", "new line"], ["\t", "tab"], ["\u00a0", "hard space"]]);

export function nameOf(character) {
  return NAMES.get(character) ?? `“${character}”`;
}

// One entry a word: { word, bits, character, nats } with its most surprising character.
export function byWord(text, surprise) {
  const found = [];
  let at = 0;
  for (const piece of text.split(/(\s+)/u)) {
    const characters = Array.from(piece);
    const known = surprise.slice(at, at + characters.length);
    at += characters.length;
    if (!piece.trim() || known.length < characters.length) continue;
    const nats = Math.max(...known);
    const sum = known.reduce((total, value) => total + value, 0);
    found.push({ word: piece, bits: bits(sum), character: characters[known.indexOf(nats)], nats });
  }
  return found;
}
