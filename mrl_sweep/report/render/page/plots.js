// Draws the plots of the page from its own data, and answers for another asked share by the rule of the program.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const HEIGHT = 330, LEFT = 54, RIGHT = 40, BOTTOM = 30, NEAR = 12, WIDEST = 1060;
  let top = 14; // of a plot; a legend takes a line more
  let width = WIDEST; // of the plots, in pixels: as the page is wide, so that their text stays readable
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
  const between = (low, high) => (low === null || high === null ? [] : ["between " + percent(low) + " and " + percent(high)]);
  const make = (name, attributes, text) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // --- The rule. Sizes: from large to small, each where the lower limit of every required measure reaches the asked share
  // (its mean, where means decide), up to the first that does not. Bytes: the paths through the grid share one alpha, so their
  // answer at each share was computed by the program and stands in the data.
  const LAST_BITS = 1e-12;
  const least = (row) => Math.min(...row.limits.map((limit) => (limit === null ? -Infinity : limit)));
  const proven = (row, share) => row.baseline || (data.enough && row.sound && least(row) >= share - LAST_BITS);
  const ladder = data.rows.filter((row) => row.exactPrefix).sort((a, b) => b.dim - a.dim);
  const walked = new Set(data.walk);
  const smallest = (share) => {
    let answer = ladder[0];
    for (const row of ladder.filter((one) => walked.has(one.dim))) {
      if (!proven(row, share)) break;
      answer = row;
    }
    return answer;
  };
  const fewest = (share) => { // the configuration of the fewest bytes: a coded one where that needs fewer than the size alone
    const size = smallest(share);
    const coded = data.byShare.find((one) => one.retain >= share - LAST_BITS);
    return coded && coded.configuration && coded.bytes < size.bytes ? coded : { configuration: size.name, bytes: size.bytes };
  };
  // What the program's decision did not accept is never shown as accepted, whatever its own limits say.
  const accepted = (row, share) => {
    if (row.baseline) return true;
    if (row.exactPrefix && walked.has(row.dim)) return row.dim >= smallest(share).dim;
    return row.accepted && proven(row, share);
  };

  // --- Plots
  const point = (mark, text) => {
    mark.setAttribute("tabindex", "0");
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", text.replaceAll("\n", ", "));
    explain(mark, text);
  };
  const describe = (row) => {
    const lines = [row.name, "keeps " + percent(row.kept) + " of " + data.measure, ...between(row.atLeast, row.atMost)];
    lines.push(row.words, bytes(row.bytes) + " a vector");
    if (row.p50 !== null) lines.push("p50 " + row.p50.toPrecision(2) + " ms");
    return lines.join("\n");
  };
  const scaleOf = (values) => { // logarithmic
    const turned = values.map(Math.log2);
    const low = Math.min(...turned), room = Math.max(...turned) - low || 1;
    return (value) => LEFT + (Math.log2(value) - low) / room * (width - LEFT - RIGHT);
  };
  const upright = (shares) => {
    const kept = shares.filter((share) => share !== null);
    const lowest = whole ? 0 : Math.max(Math.min(...kept, asked) - .01, asked - .12);
    const highest = Math.max(1.01, ...(whole ? kept : []));
    const from = top;
    const line = (share) => from + (highest - share) / (highest - lowest) * (HEIGHT - from - BOTTOM);
    const at = (share) => line(Math.min(Math.max(share, lowest), highest)); // a mark below the scale lies on its edge
    const step = highest - lowest > .5 ? .2 : highest - lowest > .1 ? .02 : .01;
    const ticks = [];
    for (let share = Math.ceil(lowest / step) * step; share <= highest + 1e-9; share += step) ticks.push(share);
    return { at, line, ticks, cut: kept.some((share) => share < lowest) };
  };
  const axes = (svg, y, ticks, title) => {
    const limit = y.at(asked);
    for (const share of y.ticks) {
      svg.append(make("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y.at(share), y2: y.at(share) }));
      if (Math.abs(y.at(share) - limit) <= NEAR) continue; // the asked share is a tick of its own, where no mark can lie
      svg.append(make("text", { x: LEFT - 8, y: y.at(share) + 4, "text-anchor": "end" }, Math.round(100 * share) + "%"));
    }
    let free = -Infinity; // where the next label may begin
    for (const [at, label] of ticks) {
      const half = Math.max(11, 3.5 * label.length);
      if (at - half < free) continue;
      svg.append(make("text", { x: at, y: HEIGHT - BOTTOM + 18, "text-anchor": "middle" }, label));
      free = at + half + 8;
    }
    svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const edge = y.cut ? "; marks on the bottom edge keep less than this scale shows" : "";
    svg.closest("figure").querySelector("figcaption").textContent = title + edge;
    const inside = make("clipPath", { id: svg.id + "-inside" });
    inside.append(make("rect", { x: 0, y: 0, width, height: HEIGHT - BOTTOM }));
    svg.append(inside);
    svg.append(make("line", { class: "limit", x1: LEFT, x2: width - RIGHT, y1: limit, y2: limit }));
    svg.append(make("text", { class: "limit-label", x: LEFT - 8, y: limit + 4, "text-anchor": "end" }, percent(asked)));
  };
  const legend = (svg, entries) => {
    let at = LEFT;
    for (const [kind, name] of entries.length > 1 ? entries : []) {
      svg.append(make("path", { class: kind + " sample", d: "M" + at + " 16h24" }));
      svg.append(make("text", { class: "name", x: at + 30, y: 20 }, name));
      at += 44 + 7 * name.length;
    }
  };
  const kindOf = (number) => (number === 0 ? "curve" : "curve other other-" + number % 6);
  const dot = (svg, state, x, y, text, chosen) => {
    const mark = make(state === "fail" ? "rect" : "circle", state === "fail"
      ? { class: "dot fail", x: x - 4, y: y - 4, width: 8, height: 8 }
      : { class: "dot " + state + (chosen ? " chosen" : ""), cx: x, cy: y, r: chosen ? 6 : 4 });
    point(mark, text);
    svg.append(mark);
  };
  const stateOf = (row) =>
    row.baseline ? "baseline" : accepted(row, asked) ? "pass" : row.atMost !== null && row.atMost < asked ? "fail" : "open";
  const drawLine = (svg, kind, points, end = "") =>
    svg.append(make("path", { class: kind, d: path(points) + end, "clip-path": "url(#" + svg.id + "-inside)" }));
  const path = (points) => points.map(([x, y], i) => (i ? "L" : "M") + x.toFixed(1) + " " + y.toFixed(1)).join("");
  const cleared = (id, enough) => { // the empty plot; null, and no figure on the page, where there is nothing to draw
    const svg = document.getElementById(id);
    if (!svg) return null;
    svg.replaceChildren();
    svg.closest("figure").hidden = !enough;
    return enough ? svg : null;
  };

  const drawDims = () => {
    const rows = data.rows.filter((row) => row.index === "exact" && row.precision === "float32" && !row.rescore && row.kept !== null);
    const svg = cleared("by-dims", rows.length > 1);
    if (!svg) return;
    const families = new Map();
    for (const row of rows) families.set(row.family, [...(families.get(row.family) || []), row]);
    top = families.size > 1 ? 40 : 14;
    const x = scaleOf(rows.map((row) => row.dim)), y = upright(rows.map((row) => row.kept));
    axes(svg, y, [...new Set(rows.map((row) => row.dim))].sort((a, b) => a - b).map((dim) => [x(dim), String(dim)]),
      data.measure + " kept, by dimensions; shaded: its confidence limits; dashed: the asked share");
    const banded = ladder.filter((row) => row.atLeast !== null);
    if (banded.length > 1) {
      const upper = banded.map((row) => [x(row.dim), y.line(row.atMost)]);
      const lower = banded.map((row) => [x(row.dim), y.line(row.atLeast)]).reverse();
      drawLine(svg, "band", [...upper, ...lower], "Z");
    }
    [...families].forEach(([, members], number) => {
      const mean = (dim) => { // random axes are drawn several times
        const same = members.filter((row) => row.dim === dim);
        return same.reduce((sum, row) => sum + row.kept, 0) / same.length;
      };
      const dims = [...new Set(members.map((row) => row.dim))].sort((a, b) => a - b);
      drawLine(svg, kindOf(number), dims.map((dim) => [x(dim), y.line(mean(dim))]));
    });
    legend(svg, [...families.keys()].map((family, number) => [kindOf(number), family]));
    const chosen = smallest(asked);
    for (const row of rows) dot(svg, stateOf(row), x(row.dim), y.at(row.kept), describe(row), row === chosen);
  };
  const drawCost = (id, cost, label, title) => {
    const rows = data.rows.filter((row) => cost(row) > 0 && row.kept !== null);
    const svg = cleared(id, rows.length > 1);
    if (!svg) return;
    top = 14;
    const x = scaleOf(rows.map(cost)), y = upright(rows.map((row) => row.kept));
    let best = -Infinity;
    const front = [];
    for (const row of rows.filter((one) => accepted(one, asked)).sort((a, b) => cost(a) - cost(b) || b.kept - a.kept)) {
      if (row.kept > best) { best = row.kept; front.push([x(cost(row)), y.at(row.kept)]); }
    }
    const line = front.length > 1 ? "; the line: " + (data.byMean ? "as good as asked" : "proven") + ", and not beaten" : "";
    axes(svg, y, [...new Set(rows.map(cost))].sort((a, b) => a - b).map((value) => [x(value), label(value)]), title + line);
    if (line) svg.append(make("path", { class: "front", d: path(front) }));
    const named = fewest(asked).configuration;
    for (const row of rows) dot(svg, stateOf(row), x(cost(row)), y.at(row.kept), describe(row), row.name === named);
  };
  const drawFunnels = () => {
    const rows = data.funnels.filter((row) => row.work > 0);
    const svg = cleared("by-work", rows.length > 1);
    if (!svg) return;
    top = 14;
    const x = scaleOf(rows.map((row) => row.work)), y = upright(rows.map((row) => row.kept));
    const ticks = [...new Set(rows.map((row) => Number(row.work.toPrecision(2))))].sort((a, b) => a - b);
    axes(svg, y, ticks.map((work) => [x(work), work + "x"]), data.measure + " kept by a funnel, by how many times less work it is");
    for (const row of rows) {
      const text = [row.name, row.measured ? "keeps " + percent(row.kept) : "keeps at least " + percent(row.kept),
        ...between(row.low, row.high), row.work.toFixed(1) + "x less work", row.words].join("\n");
      dot(svg, row.state, x(row.work), y.at(row.kept), text, row.chosen);
    }
  };
  const drawGrowth = () => {
    const points = data.growth.flatMap((line) => line.points);
    const svg = cleared("by-growth", new Set(points.map((one) => one.documents)).size > 1);
    if (!svg) return;
    top = 14;
    const x = scaleOf(points.map((one) => one.documents)), y = upright(points.map((one) => one.kept));
    const sizes = [...new Set(points.map((one) => one.documents))].sort((a, b) => a - b);
    axes(svg, y, sizes.map((n) => [x(n), n.toLocaleString("en")]), data.measure + " kept, by documents of the corpus");
    data.growth.forEach((line, number) => {
      drawLine(svg, kindOf(number), line.points.map((one) => [x(one.documents), y.line(one.kept)]));
      for (const one of line.points) {
        const text = [line.name + " at " + one.documents.toLocaleString("en") + " documents", "keeps " + percent(one.kept),
          ...between(one.low, one.high), one.words].join("\n");
        dot(svg, one.state, x(one.documents), y.at(one.kept), text, false);
      }
    });
    const named = []; // each line at its end, where no other name stands
    for (const line of data.growth) {
      const end = line.points[line.points.length - 1], at = y.at(end.kept) + 4;
      if (named.some((other) => Math.abs(other - at) < NEAR)) continue;
      named.push(at);
      svg.append(make("text", { class: "name", x: x(end.documents) + 9, y: at }, line.name));
    }
  };
  const byName = new Map(data.rows.map((row) => [row.name, row]));
  const drawGrid = (grid, number) => { // dimensions x precision: coloured by the share kept, with the stair of what is proven
    const svg = cleared("grid-" + number, true);
    if (!svg) return;
    const named = Math.min(150, width / 4), head = 24, high = 34, wide = (width - named - 2) / grid.dims.length;
    const fewestBytes = fewest(asked).configuration, proven = (row) => row !== null && accepted(row, asked);
    const rows = grid.rows.map((line) => line.cells.map((name) => (name === null ? null : byName.get(name))));
    const cells = rows.map(() => []);
    svg.setAttribute("viewBox", `0 0 ${width} ${head + high * rows.length + 4}`);
    grid.dims.forEach((dim, x) => svg.append(make("text", { x: named + (x + .5) * wide, y: 15, "text-anchor": "middle" }, String(dim))));
    rows.forEach((line, y) => {
      const label = make("text", { x: named - 8, y: head + (y + .5) * high + 4, "text-anchor": "end" }, grid.rows[y].name);
      svg.append(label);
      if (7 * grid.rows[y].name.length > named) label.setAttribute("textLength", named - 10);
      line.forEach((row, x) => {
        if (row === null || row.kept === null) return;
        const shade = Math.min(6, Math.ceil((asked - row.kept) / .02 - 1e-9)), left = named + x * wide, above = head + y * high;
        const chosen = row.name === fewestBytes;
        const cell = make("g", { class: "cell " + (shade > 0 ? "below-" + shade : "over") + (chosen ? " chosen" : "") });
        cell.append(make("rect", { x: left, y: above, width: wide, height: high }));
        const full = wide >= 56;
        if (wide >= 24) cell.append(make("text", { x: left + wide / 2, y: above + (full ? 15 : 21) }, wide < 46 ? (100 * row.kept).toFixed(0) : percent(row.kept)));
        if (full) cell.append(make("text", { class: "bytes", x: left + wide / 2, y: above + 28 }, row.bytes.toLocaleString("en") + " B"));
        point(cell, describe(row));
        cell.setAttribute("tabindex", "-1"); // one stop for the keyboard; arrows move inside
        svg.append(cell);
        cells[y][x] = cell;
        cell.addEventListener("keydown", (event) => {
          const [right, down] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key] || [0, 0];
          const next = (right || down) && cells[y + down] && cells[y + down][x + right];
          if (!next) return;
          event.preventDefault();
          cell.setAttribute("tabindex", "-1");
          next.setAttribute("tabindex", "0");
          next.focus();
        });
      });
    });
    const stair = []; // the edges between what is proven and what is not
    const at = (x, y) => rows[y] !== undefined && rows[y][x] !== undefined && proven(rows[y][x]);
    rows.forEach((line, y) => line.forEach((row, x) => {
      if (!at(x, y)) return;
      const left = named + x * wide, right = left + wide, above = head + y * high, below = above + high;
      if (!at(x, y - 1)) stair.push(`M${left} ${above}H${right}`);
      if (!at(x, y + 1)) stair.push(`M${left} ${below}H${right}`);
      if (!at(x - 1, y)) stair.push(`M${left} ${above}V${below}`);
      if (!at(x + 1, y)) stair.push(`M${right} ${above}V${below}`);
    }));
    svg.append(make("path", { class: "stair", d: stair.join("") }));
    const chosen = svg.querySelector(".chosen rect");
    if (chosen) {
      const [x, y, w, h] = ["x", "y", "width", "height"].map((name) => Number(chosen.getAttribute(name)));
      svg.append(make("rect", { class: "frame", x: x + 4, y: y + 3, width: w - 8, height: h - 6, rx: 3 }));
    }
    const first = svg.querySelector(".chosen") || svg.querySelector(".cell");
    if (first) first.setAttribute("tabindex", "0");
    const how = data.byMean ? "measured" : "proven";
    svg.closest("figure").querySelector("figcaption").textContent = data.measure + " kept and bytes of a vector; green: " +
      percent(asked) + " or more, redder for each two points less; inside the line: " + how + " by its own row" +
      (chosen ? "; framed: the fewest bytes" : "") + ". Arrow keys move from cell to cell; the table below has the same figures.";
  };
  const draw = () => {
    width = Math.max(320, Math.min(WIDEST, document.querySelector("main").clientWidth));
    drawDims();
    drawCost("by-bytes", (row) => row.bytes, bytes, data.measure + " kept, by bytes a vector");
    drawCost("by-latency", (row) => row.p50, (ms) => ms.toPrecision(2) + " ms", data.measure + " kept, by median latency");
    drawFunnels();
    drawGrowth();
    data.grids.forEach(drawGrid);
  };

  // --- The slider: another share, the same rule
  const slider = document.getElementById("asked"), answer = document.getElementById("what-if");
  const tell = () => {
    const row = smallest(asked), small = fewest(asked), how = data.byMean ? "measured" : "proven";
    document.getElementById("asked-share").textContent = percent(asked);
    let text = row.baseline
      ? "At " + percent(asked) + " nothing below the full size of " + row.dim + " dimensions is " + how + "."
      : "At " + percent(asked) + " the smallest " + how + " size is " + row.dim + " dimensions: at least " + percent(row.atLeast) + ".";
    if (small.configuration !== row.name) text += " Fewest bytes: " + small.bytes + " a vector, " + small.configuration + ".";
    answer.textContent = text;
  };
  slider.addEventListener("input", () => { asked = Number(slider.value) / 1000; tell(); draw(); });
  document.getElementById("whole").addEventListener("change", (event) => { whole = event.target.checked; draw(); });
  window.addEventListener("resize", draw);
  tell();
  draw();
})();
