// Draws the plots of the page from its own data, and lets a reader point, sort, filter and ask for another share.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 760, HEIGHT = 340, LEFT = 62, RIGHT = 24, TOP = 16, BOTTOM = 44;
  const tip = document.getElementById("tip");
  let asked = data.retain;
  let whole = false; // the whole scale, or the part of it where decisions are made

  const percent = (share) => (share === null ? "-" : (100 * share).toFixed(1) + "%");
  const bytes = (n) => {
    if (n === null) return "-";
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let at = 0;
    while (n >= 1024 && at < units.length - 1) { n /= 1024; at += 1; }
    return (at === 0 ? String(n) : n.toFixed(1)) + " " + units[at];
  };
  const make = (name, attributes, text) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // --- The rule: a configuration is proven where every required measure's lower limit reaches the asked share.
  const least = (row) => Math.min(...row.limits.map((limit) => (limit === null ? -Infinity : limit)));
  const proven = (row, share) => row.baseline || (row.sound && least(row) >= share);
  // What the program's decision did not accept is never shown as accepted, whatever its own limits say.
  const accepted = (row, share) => row.baseline || (row.accepted && proven(row, share));
  const ladder = data.rows.filter((row) => row.exactPrefix).sort((a, b) => b.dim - a.dim);
  const walked = new Set(data.walk);
  const smallest = (share) => {
    let answer = ladder[0];
    for (const row of ladder) {
      if (walked.size && !walked.has(row.dim) && !row.baseline) continue; // sizes between the fixed ones are a curve
      if (!proven(row, share)) break;
      answer = row;
    }
    return answer;
  };

  // --- Plots
  const describe = (row) => {
    const lines = [row.name, "keeps " + percent(row.kept) + " of " + data.measure];
    if (row.atLeast !== null) lines.push("between " + percent(row.atLeast) + " and " + percent(row.atMost));
    lines.push(row.words, bytes(row.bytes) + " a vector");
    if (row.p50 !== null) lines.push("p50 " + row.p50.toPrecision(2) + " ms");
    return lines.join("\n");
  };
  const point = (mark, text) => {
    mark.setAttribute("tabindex", "0");
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", text.replaceAll("\n", ", "));
    const show = () => {
      tip.textContent = text;
      tip.hidden = false;
      const box = mark.getBoundingClientRect();
      const left = Math.min(box.left + 12, document.documentElement.clientWidth - tip.offsetWidth - 8);
      tip.style.left = Math.max(left, 8) + window.scrollX + "px";
      tip.style.top = box.top - tip.offsetHeight - 8 + window.scrollY + "px";
    };
    const hide = () => { tip.hidden = true; };
    mark.addEventListener("mouseenter", show);
    mark.addEventListener("focus", show);
    mark.addEventListener("mouseleave", hide);
    mark.addEventListener("blur", hide);
  };
  const scaleOf = (values, logarithmic) => {
    const turned = values.map((value) => (logarithmic ? Math.log2(value) : value));
    const low = Math.min(...turned), high = Math.max(...turned), room = high - low || 1;
    return (value) => LEFT + ((logarithmic ? Math.log2(value) : value) - low) / room * (WIDTH - LEFT - RIGHT);
  };
  const upright = (rows) => {
    const kept = rows.map((row) => row.kept).filter((share) => share !== null);
    const lowest = whole ? 0 : Math.max(Math.min(...kept, asked) - .01, asked - .12);
    const highest = Math.max(1.01, ...(whole ? kept : []));
    const at = (share) => TOP + (highest - Math.max(share, lowest)) / (highest - lowest) * (HEIGHT - TOP - BOTTOM);
    const step = highest - lowest > .5 ? .2 : highest - lowest > .1 ? .02 : .01;
    const ticks = [];
    for (let share = Math.ceil(lowest / step) * step; share <= highest + 1e-9; share += step) ticks.push(share);
    return { at, ticks, lowest };
  };
  const axes = (svg, y, ticks, title) => {
    for (const share of y.ticks) {
      svg.append(make("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y.at(share), y2: y.at(share) }));
      svg.append(make("text", { x: LEFT - 8, y: y.at(share) + 4, "text-anchor": "end" }, Math.round(100 * share) + "%"));
    }
    let last = -Infinity;
    for (const [at, label] of ticks) {
      if (at - last < 46) continue;
      svg.append(make("text", { x: at, y: HEIGHT - BOTTOM + 18, "text-anchor": "middle" }, label));
      last = at;
    }
    svg.append(make("text", { x: LEFT, y: HEIGHT - 6 }, title));
    svg.append(make("line", { class: "limit", x1: LEFT, x2: WIDTH - RIGHT, y1: y.at(asked), y2: y.at(asked) }));
    svg.append(make("text", { class: "limit-label", x: WIDTH - RIGHT, y: y.at(asked) + 14, "text-anchor": "end" },
      percent(asked) + " asked"));
  };
  const dot = (svg, row, x, y, chosen) => {
    const state = row.baseline ? "baseline" : accepted(row, asked) ? "pass" : row.atMost !== null && row.atMost < asked ? "fail" : "open";
    const mark = make(state === "fail" ? "rect" : "circle", state === "fail"
      ? { class: "dot fail", x: x - 4, y: y - 4, width: 8, height: 8 }
      : { class: "dot " + state + (chosen ? " chosen" : ""), cx: x, cy: y, r: chosen ? 6 : 4 });
    point(mark, describe(row));
    svg.append(mark);
  };
  const path = (points) => points.map(([x, y], i) => (i ? "L" : "M") + x.toFixed(1) + " " + y.toFixed(1)).join("");

  const drawDims = () => {
    const svg = document.getElementById("by-dims");
    if (!svg) return;
    svg.replaceChildren();
    const rows = data.rows.filter((row) => row.index === "exact" && !row.rescore && row.kept !== null);
    const families = Map.groupBy ? Map.groupBy(rows, (row) => row.family) : group(rows);
    const x = scaleOf(rows.map((row) => row.dim), true), y = upright(rows);
    axes(svg, y, [...new Set(rows.map((row) => row.dim))].sort((a, b) => b - a).map((dim) => [x(dim), String(dim)]).reverse(),
      data.measure + " kept, by dimensions; shaded: its confidence limits");
    const banded = ladder.filter((row) => row.atLeast !== null);
    if (banded.length > 1) {
      const upper = banded.map((row) => [x(row.dim), y.at(Math.min(row.atMost, 1.01))]);
      const lower = banded.map((row) => [x(row.dim), y.at(row.atLeast)]).reverse();
      svg.append(make("path", { class: "band", d: path([...upper, ...lower]) + "Z" }));
    }
    let number = 0;
    const names = []; // heights of the names written so far: a second one at the same height goes above
    for (const [family, members] of families) {
      const dims = [...new Set(members.map((row) => row.dim))].sort((a, b) => a - b);
      const mean = (dim) => { // random axes are drawn several times
        const same = members.filter((row) => row.dim === dim);
        return same.reduce((sum, row) => sum + row.kept, 0) / same.length;
      };
      const line = dims.map((dim) => [x(dim), y.at(mean(dim))]);
      const kind = family === "float32" ? "curve" : "curve other other-" + (number++ % 6);
      svg.append(make("path", { class: kind, d: path(line) }));
      const taken = 14 * names.filter((at) => Math.abs(at - line[0][1]) < 12).length;
      names.push(line[0][1]);
      svg.append(make("text", { class: "name", x: line[0][0] + 6, y: line[0][1] - 6 - taken }, family));
    }
    const chosen = smallest(asked);
    for (const row of rows) dot(svg, row, x(row.dim), y.at(row.kept), row === chosen);
  };
  const group = (rows) => {
    const groups = new Map();
    for (const row of rows) groups.set(row.family, [...(groups.get(row.family) || []), row]);
    return groups;
  };
  const drawCost = (id, cost, label, title) => {
    const svg = document.getElementById(id);
    if (!svg) return;
    svg.replaceChildren();
    const rows = data.rows.filter((row) => cost(row) > 0 && row.kept !== null);
    if (rows.length < 2) { svg.closest("figure").hidden = true; return; }
    const x = scaleOf(rows.map(cost), true), y = upright(rows);
    const costs = [...new Set(rows.map(cost))].sort((a, b) => a - b);
    axes(svg, y, costs.map((value) => [x(value), label(value)]), title);
    let best = -Infinity;
    const front = [];
    for (const row of rows.filter((one) => accepted(one, asked)).sort((a, b) => cost(a) - cost(b) || b.kept - a.kept)) {
      if (row.kept > best) { best = row.kept; front.push([x(cost(row)), y.at(row.kept)]); }
    }
    if (front.length) svg.append(make("path", { class: "front", d: path(front) }));
    for (const row of rows) dot(svg, row, x(cost(row)), y.at(row.kept), false);
  };
  const draw = () => {
    drawDims();
    drawCost("by-bytes", (row) => row.bytes, bytes, data.measure + " kept, by bytes a vector; the line: proven, and not beaten");
    drawCost("by-latency", (row) => row.p50, (ms) => ms.toPrecision(2) + " ms", data.measure + " kept, by median latency");
  };

  // --- The slider: another share, the same rule
  const slider = document.getElementById("asked"), answer = document.getElementById("what-if");
  const tell = () => {
    const row = smallest(asked);
    document.getElementById("asked-share").textContent = percent(asked);
    answer.textContent = row.baseline
      ? "At " + percent(asked) + " nothing below the full size of " + row.dim + " dimensions is proven."
      : "At " + percent(asked) + " the smallest proven size is " + row.dim + " dimensions: at least " + percent(row.atLeast) + ".";
  };
  slider.addEventListener("input", () => { asked = Number(slider.value) / 1000; tell(); draw(); });
  document.getElementById("whole").addEventListener("change", (event) => { whole = event.target.checked; draw(); });

  tell();
  draw();
})();
