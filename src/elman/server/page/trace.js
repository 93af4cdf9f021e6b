// One unit along the text: its value after every character, and the characters below.

import { fresh } from "./heatmap.js";
import { colour } from "./scale.js";

const MARGIN = 10; // px above +1 and below -1
const LETTERS = 24; // px for the line of characters
const SHOWN = new Map([[" ", "·"], ["\n", "↵"], ["\t", "→"]]);

// `view` as for the heat map; `characters` those of the whole text.
export function paintTrace(canvas, columns, view, { unit, timestep, characters }) {
  const { context, width, height } = fresh(canvas);
  const middle = (height - LETTERS) / 2;
  const yOf = (value) => middle - value * (middle - MARGIN);
  const xOf = (t) => view.left + (t - view.first + 0.5) * view.step;
  drawRules(context, width, yOf);
  if (!columns.height || view.end <= view.first) return;
  if (timestep !== null) drawLine(context, "--line", [xOf(timestep), 0], [xOf(timestep), height]);
  const points = [];
  for (let t = Math.max(0, view.first - 1); t < view.end; t += 1)
    points.push([xOf(t), yOf(columns.at(t, unit))]);
  drawCurve(context, points);
  if (timestep !== null) drawPoint(context, xOf(timestep), yOf(columns.at(timestep, unit)));
  context.font = "12px ui-monospace, monospace";
  context.textAlign = "center";
  for (let t = view.first; t < view.end; t += 1) {
    context.fillStyle = colour(t === timestep ? "--accent" : "--quiet");
    context.fillText(SHOWN.get(characters[t]) ?? characters[t] ?? "", xOf(t), height - 8);
  }
}

function drawRules(context, width, yOf) {
  for (const value of [-1, 0, 1]) drawLine(context, "--line", [0, yOf(value)], [width, yOf(value)]);
}

function drawLine(context, name, from, to) {
  context.strokeStyle = colour(name);
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(...from.map((each) => Math.round(each) + 0.5));
  context.lineTo(...to.map((each) => Math.round(each) + 0.5));
  context.stroke();
}

function drawCurve(context, points) {
  context.strokeStyle = colour("--accent");
  context.lineWidth = 1.75;
  context.lineJoin = "round";
  context.beginPath();
  for (const point of points) context.lineTo(...point);
  context.stroke();
  if (points.length === 1) drawPoint(context, ...points[0]);
}

function drawPoint(context, x, y) {
  context.fillStyle = colour("--accent");
  context.beginPath();
  context.arc(x, y, 4, 0, 2 * Math.PI);
  context.fill();
}
