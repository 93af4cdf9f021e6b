// Colours for -127 … 127, even to the eye: interpolated in OKLab (Ottosson 2020) between the
// stylesheet's three, so that equal differences of h look equally far apart.

const SIZE = 255;

// 255 pixels of ImageData, as RGBA in one Uint32 each, for -127, -126, … 127.
export function heatScale() {
  const [low, middle, high] = ["--heat-low", "--heat-middle", "--heat-high"].map(
    (name) => toLab(channels(colour(name))),
  );
  const bytes = new Uint8ClampedArray(4 * SIZE);
  for (let index = 0; index < SIZE; index += 1) {
    const value = (index - 127) / 127;
    const lab = mix(middle, value < 0 ? low : high, Math.abs(value));
    bytes.set([...fromLab(lab), 255], 4 * index);
  }
  return new Uint32Array(bytes.buffer);
}

// A registered colour of the stylesheet, as the theme has it.
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name);
}

function channels(css) {
  return css.match(/[\d.]+/g).slice(0, 3).map(Number);
}

function mix(from, to, share) {
  return from.map((value, index) => value + share * (to[index] - value));
}

export function toLab(rgb) {
  const [r, g, b] = rgb.map((value) => linear(value / 255));
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

export function fromLab([lightness, a, b]) {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ].map((value) => 255 * encoded(value));
}

// sRGB's curve, there and back (IEC 61966-2-1).
function linear(value) {
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}

function encoded(value) {
  if (value <= 0.0031308) return 12.92 * value;
  return 1.055 * value ** (1 / 2.4) - 0.055;
}
