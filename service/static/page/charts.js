// Small charts as SVG, drawn with the page's colours. Each has a name that says what it shows; numbers stand beside it or in a table.

import { draw } from "./elements.js";
import { numeral } from "./words.js";

/** Values over time as a line with an area below it, `null` for gaps, and what they are compared with as a dashed line. */
export function sparkline(values, { compared = null, most = null, width = 220, height = 44 } = {}) {
  const known = values.filter((value) => value !== null);
  const top = most ?? (Math.max(...known, compared ?? 0, 1e-9) * 1.15);
  const x = (i) => 2 + (i / Math.max(values.length - 1, 1)) * (width - 4);
  const y = (value) => height - 3 - (value / top) * (height - 6);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", preserveAspectRatio: "none" });
  svg.append(draw("line", { x1: 0, x2: width, y1: height - 3, y2: height - 3, class: "axis" }));
  if (compared !== null) svg.append(draw("line", { x1: 0, x2: width, y1: y(compared), y2: y(compared), class: "compared" }));
  for (const run of runs(values)) {
    const points = run.map(([i, value]) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`);
    if (points.length > 1) svg.append(draw("polyline", { points: points.join(" "), class: "line" }));
    // A line without length, so that a dot stays round however wide the chart is drawn.
    for (const [i, value] of run) svg.append(draw("path", { d: `M${x(i).toFixed(1)} ${y(value).toFixed(1)}h0`, class: "point-mark" }));
  }
  return svg;
}

/** Counts over time as columns. */
export function columns(values, { width = 220, height = 44 } = {}) {
  const top = Math.max(...values, 1);
  const step = width / values.length;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", preserveAspectRatio: "none" });
  values.forEach((value, i) => {
    const tall = value ? Math.max((value / top) * (height - 4), 1.5) : 0;
    svg.append(draw("rect", { x: (i * step + 1.5).toFixed(1), y: (height - 3 - tall).toFixed(1), width: (step - 3).toFixed(1), height: tall.toFixed(1), class: "column", rx: 1 }));
  });
  svg.append(draw("line", { x1: 0, x2: width, y1: height - 3, y2: height - 3, class: "axis" }));
  return svg;
}

/** A value against a count whose axis is logarithmic, with every point labelled. */
export function growth(points, { width = 330, height = 190 } = {}) {
  const [left, right, top, bottom] = [34, 30, 26, 30];
  const logs = points.map(([n]) => Math.log(n));
  const [low, high] = [Math.min(...logs), Math.max(...logs)];
  const x = (n) => left + ((Math.log(n) - low) / (high - low || 1)) * (width - left - right);
  const y = (value) => height - bottom - value * (height - top - bottom);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart labelled", role: "img" });
  for (const value of [0, 0.5, 1]) {
    svg.append(draw("line", { x1: left, x2: width - 8, y1: y(value), y2: y(value), class: "grid" }), written(left - 6, y(value) + 4, numeral(value), "end"));
  }
  svg.append(draw("polyline", { points: points.map(([n, value]) => `${x(n)},${y(value)}`).join(" "), class: "line" }));
  for (const [n, value] of points) {
    svg.append(draw("circle", { cx: x(n), cy: y(value), r: 3.5, class: "dot-mark" }));
    svg.append(written(x(n), y(value) - 9, numeral(value, 2)), written(x(n), height - 9, numeral(n)));
  }
  return svg;
}

/** Precision (up) against recall (right) at some points, the one in force filled. */
export function tradeoff(points, active, { width = 104, height = 64 } = {}) {
  const x = (value) => 4 + value * (width - 8);
  const y = (value) => height - 4 - value * (height - 8);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart labelled", role: "img" });
  svg.append(draw("rect", { x: x(0), y: y(1), width: x(1) - x(0), height: y(0) - y(1), class: "grid frame" }));
  svg.append(draw("path", { d: `M${x(0)} ${y(0.5)}H${x(1)}M${x(0.5)} ${y(0)}V${y(1)}`, class: "grid" }));
  svg.append(draw("polyline", { points: points.map(({ recall, precision }) => `${x(recall)},${y(precision)}`).join(" "), class: "line thin" }));
  for (const { point, recall, precision } of points) {
    svg.append(draw("circle", { cx: x(recall), cy: y(precision), r: point === active ? 4 : 3, class: point === active ? "dot-mark" : "dot-mark hollow" }));
  }
  return svg;
}

function written(x, y, text, anchor = "middle") {
  return draw("text", { x, y, "text-anchor": anchor }, text);
}

function* runs(values) {
  let run = [];
  for (const [i, value] of values.entries()) {
    if (value !== null) run.push([i, value]);
    else if (run.length) {
      yield run;
      run = [];
    }
  }
  if (run.length) yield run;
}
