// How a suggested word joins the text: what of it is typed already, which spaces it takes along.

const LONGEST = 200; // characters before the caret in which the word's beginning is looked for
const WORD_CHARACTER = /[\p{L}\p{N}\p{M}]$/u;
const WANTS_SPACE_AFTER = /[.,;:!?…)\]}»”]$/u;
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}]$/u;

// What taking `word` adds to `text`, or null if it no longer fits. `kind` is "completion" or
// "next"; a `stale` word was offered for an earlier text, and fits if it begins with what is typed
// of a word since.
export function rest(text, { word, kind, stale }) {
  const tail = text.slice(-LONGEST).normalize("NFC"); // as the model's words are
  const space = UNSPACED.test(word) ? "" : " ";
  if (kind === "next" && !stale) return (WANTS_SPACE_AFTER.test(tail) ? space : "") + word + space;
  const typed = overlap(tail, word);
  if (!typed) return null;
  if (stale && WORD_CHARACTER.test(tail.slice(0, -typed))) return null;
  return word.slice(typed) + space;
}

// How much of the beginning of `word` ends `text`.
function overlap(text, word) {
  for (let length = Math.min(text.length, word.length); length > 0; length -= 1)
    if (text.endsWith(word.slice(0, length))) return length;
  return 0;
}
