// The hidden state through time: one column a timestep, one row a unit, painted on a canvas.

import { colour } from "./scale.js";

const buffer = document.createElement("canvas"); // one pixel a value

// `view` says which timesteps are in sight: { first, end, left, step } with the x of `first` and
// the width of a timestep in CSS pixels.
export function paintHeat(canvas, columns, view, { scale, unit, timestep }) {
  const { context, width, height } = fresh(canvas);
  if (!columns.height || view.end <= view.first) return;
  const wide = (view.end - view.first) * view.step;
  drawValues(columns, view, scale);
  context.imageSmoothingEnabled = columns.height > height * devicePixelRatio;
  context.drawImage(buffer, view.left, 0, wide, height);
  const row = height / columns.height;
  const top = Math.max(1, Math.min(height - 3, unit * row));
  context.strokeStyle = colour("--ink");
  const right = Math.min(width, view.left + wide);
  context.strokeRect(0.5, Math.round(top) - 0.5, right - 1, Math.max(3, Math.round(row)));
  if (timestep === null) return;
  const x = view.left + (timestep - view.first) * view.step;
  context.strokeRect(Math.round(x) + 0.5, 0.5, view.step - 1, height - 1);
}

function drawValues(columns, { first, end }, scale) {
  const [across, down] = [end - first, columns.height];
  [buffer.width, buffer.height] = [across, down];
  const context = buffer.getContext("2d");
  const image = context.createImageData(across, down);
  const pixels = new Uint32Array(image.data.buffer);
  const values = columns.window(first, end);
  for (let t = 0; t < across; t += 1)
    for (let unit = 0; unit < down; unit += 1)
      pixels[unit * across + t] = scale[values[t * down + unit] + 127];
  context.putImageData(image, 0, 0);
}

// The canvas at the size it has on the page, empty, in CSS pixels.
export function fresh(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = Math.round(width * devicePixelRatio);
  canvas.height = Math.round(height * devicePixelRatio);
  const context = canvas.getContext("2d");
  context.scale(devicePixelRatio, devicePixelRatio);
  return { context, width, height };
}
