// Positions on the wire count code points; JavaScript's strings count UTF-16 units.

const LONE_SURROGATES = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const clusters = new Intl.Segmenter(undefined, { granularity: "grapheme" });

export function count(text) {
  let total = 0;
  for (const _ of text) total += 1;
  return total;
}

// Half a pair has no place in UTF-8.
export function wellFormed(text) {
  return text.replace(LONE_SURROGATES, "\ufffd");
}

// What a reader calls characters: "👩‍👩‍👧" is one.
export function graphemes(text) {
  return Array.from(clusters.segment(text), ({ segment }) => segment);
}

// `after` is the first `keep` code points of `before`, and then `insert`. Both well-formed.
export function difference(before, after) {
  const shorter = Math.min(before.length, after.length);
  let same = 0;
  while (same < shorter && before.charCodeAt(same) === after.charCodeAt(same)) same += 1;
  if (isHigh(before.charCodeAt(same - 1))) same -= 1;
  return { keep: count(after.slice(0, same)), insert: after.slice(same) };
}

// Cut into parts of at most `most` code points.
export function parts(text, most) {
  const points = Array.from(text);
  const cut = [];
  for (let at = 0; at < points.length; at += most) cut.push(points.slice(at, at + most).join(""));
  return cut;
}

function isHigh(unit) {
  return unit >= 0xd800 && unit <= 0xdbff;
}
