#include "train/report_page.hpp"

namespace rae::detail {

const std::string_view kReportPageHead = R"html(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
      content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline';
               img-src data:">
<title>Training report</title>
<style>
:root { color-scheme: light dark; --back: #fff; --text: #1c2024; --soft: #60646c; --line: #d9d9e0;
  --panel: #f8f8fa; }
@media (prefers-color-scheme: dark) { :root { --back: #16181c; --text: #edeef0; --soft: #a0a4ab;
  --line: #3a3d43; --panel: #1f2227; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 80rem; background: var(--back);
  color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; } h2 { margin: 2rem 0 .5rem; font-size: 1.25rem; }
p { margin: .3rem 0; } .soft { color: var(--soft); }
table { border-collapse: collapse; margin: .5rem 0; }
th, td { text-align: left; padding: .2rem 1rem .2rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; white-space: nowrap; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.charts { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(24rem, 1fr)); }
figure { margin: 0; padding: .75rem; background: var(--panel); border: 1px solid var(--line);
  border-radius: 6px; break-inside: avoid; }
figcaption { font-weight: 600; } figcaption span { font-weight: 400; color: var(--soft); }
svg { display: block; width: 100%; height: auto; } figure .plot-back { fill: none; }
.picture { display: flex; overflow-x: auto; }
.rows { display: grid; grid-auto-rows: 1fr; align-items: center; padding-right: .6rem;
  font-size: 13px; line-height: 1; white-space: nowrap; }
.picture img { display: block; image-rendering: pixelated; flex: none; }
.series { display: flex; flex-wrap: wrap; gap: .75rem; margin-top: .75rem; }
.series figure { padding: .4rem; } .series img { display: block; max-width: 14rem; height: auto;
  image-rendering: pixelated; }
pre { padding: .75rem; background: var(--panel); border: 1px solid var(--line);
  border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 13px; }
@media print { :root { --back: #fff; --text: #000; --soft: #444; --line: #bbb; --panel: #fff; }
  body { max-width: none; padding: 0; }
  .charts { grid-template-columns: 1fr 1fr; } .picture { overflow: visible; }
  .picture img { max-width: 100%; height: auto !important; } h2 { break-after: avoid; } }
</style>
</head>
<body>
<noscript>This report draws its contents with JavaScript, which is switched off here. The numbers
are in log.csv, the pictures in samples and reconstructions.</noscript>
<main></main>
<script id="contents" type="application/json">)html";

const std::string_view kReportPageTail = R"html(</script>
<script>
"use strict";
const contents = JSON.parse(document.getElementById("contents").textContent);
const main = document.querySelector("main");

function add(parent, name, text, kind) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  parent.append(element);
  return element;
}
function number(x) {
  if (x === 0) return "0";
  const size = Math.abs(x);
  return size >= 1e6 || size < 1e-3 ? x.toExponential(2) : String(Number(x.toPrecision(4)));
}
function duration(seconds) {
  const s = Math.round(seconds), h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
  return h ? h + " h " + m + " min" : m ? m + " min " + (s % 60) + " s" : s + " s";
}
function points(stage, name) {
  return stage.reports.filter(r => typeof r[name] === "number").map(r => [r.step, r[name]]);
}

function showStage(stage) {
  add(main, "h2", "Stage " + stage.name);
  const charts = add(main, "div", undefined, "charts");
  for (const chart of stage.charts) {
    const figure = add(charts, "figure"), caption = add(figure, "figcaption", chart.title);
    add(caption, "span", " (last: " + chart.last + ")");
    const parsed = new DOMParser().parseFromString(chart.svg, "image/svg+xml");
    figure.append(document.importNode(parsed.documentElement, true));
  }
}

function showPictures(title, text, pictures) {
  if (!pictures.length) return;
  add(main, "h2", title);
  add(main, "p", text, "soft");
  const last = pictures[pictures.length - 1], rows = last.rows || [];
  const figure = add(main, "figure");
  add(figure, "figcaption", "Step " + last.step);
  const box = add(figure, "div", undefined, "picture");
  const labels = add(box, "div", undefined, "rows");
  for (const name of rows) add(labels, "span", name);
  const image = add(box, "img");
  // Small pictures are enlarged so that a row is as high as its label.
  const wanted = Math.max(18 * rows.length / last.height, 560 / last.width, 1);
  image.width = Math.min(1200, last.width * (last.width > 560 ? wanted : Math.ceil(wanted)));
  image.src = last.image;
  image.alt = title + " at step " + last.step;
  if (pictures.length < 2) return;
  const series = add(main, "div", undefined, "series");
  for (const earlier of pictures.slice(0, -1)) {
    const item = add(series, "figure"), small = add(item, "img");
    small.width = 224;
    small.src = earlier.image;
    small.alt = title + " at step " + earlier.step;
    add(item, "figcaption", "Step " + earlier.step);
  }
}

document.title = contents.title + ": training report";
add(main, "h1", contents.title);
add(main, "p", "Training report of " + contents.written, "soft");

add(main, "h2", "Progress");
const table = add(main, "table"), head = add(table, "tr");
for (const name of ["Stage", "Step", "Loss", "Held-out loss", "Time spent", "Time left"])
  add(head, "th", name);
let total = 0;
for (const stage of contents.stages) {
  const row = add(table, "tr"), reports = stage.reports;
  const lastOf = name => points(stage, name).map(p => p[1]).pop();
  const step = reports.length ? reports[reports.length - 1].step : 0;
  const cell = text => add(row, "td", text, "number");
  const rate = lastOf("images_per_second"), spent = lastOf("seconds");
  const loss = lastOf("loss"), held = lastOf("held_out_loss");
  total += spent || 0;
  add(row, "td", stage.name);
  cell(stage.steps ? step + " of " + stage.steps : "");
  cell(loss === undefined ? "" : number(loss));
  cell(held === undefined ? "" : number(held));
  cell(spent === undefined ? "" : duration(spent));
  const seconds = (stage.steps - step) * stage.batch_size / rate;  // left
  const state = !stage.steps ? "not trained" : step >= stage.steps ? "complete" : "";
  cell(state || (!step ? "not begun" : rate > 0 ? duration(seconds) : ""));
}
if (total > 0) add(main, "p", "Time spent in all: " + duration(total), "soft");

for (const stage of contents.stages) if (stage.reports.length) showStage(stage);
showPictures("Samples", "Drawn with the averaged weights, one row per class.", contents.samples);
showPictures("Reconstructions", "Pictures and their reconstructions by the averaged decoder.",
             contents.reconstructions);

add(main, "h2", "Machine and data");
const details = add(main, "table");
for (const [name, value] of contents.details) {
  const row = add(details, "tr");
  add(row, "th", name);
  add(row, "td", value);
}
add(main, "h2", "Settings");
add(main, "pre", contents.settings);
</script>
</body>
</html>
)html";

}  // namespace rae::detail
