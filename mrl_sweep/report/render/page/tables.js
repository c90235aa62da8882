// Explains marks under the pointer; lets a reader sort and filter the tables of the page, and copy its command.
"use strict";
const explain = (mark, text) => { // shows the text beside the mark while it is pointed at or focused
  const tip = document.getElementById("tip");
  const show = () => {
    tip.textContent = text;
    tip.hidden = false;
    const box = mark.getBoundingClientRect();
    const left = Math.min(box.left + 12, document.documentElement.clientWidth - tip.offsetWidth - 8);
    tip.style.left = Math.max(left, 8) + window.scrollX + "px";
    tip.style.top = Math.max(box.top - tip.offsetHeight - 8, 4) + window.scrollY + "px";
  };
  const hide = () => { tip.hidden = true; };
  mark.addEventListener("mouseenter", show);
  mark.addEventListener("focus", show);
  mark.addEventListener("mouseleave", hide);
  mark.addEventListener("blur", hide);
};
(() => {
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") document.getElementById("tip").hidden = true;
  });
  for (const cell of document.querySelectorAll("[data-tip]")) explain(cell, cell.dataset.tip.replaceAll(" · ", "\n"));
  const valueOf = (cell) => {
    const text = cell ? cell.textContent.trim() : "";
    const number = parseFloat(text.replaceAll(",", ""));
    return Number.isNaN(number) ? text : number * ({ KiB: 1024, MiB: 1048576, GiB: 1073741824 }[text.split(" ")[1]] || 1);
  };
  for (const table of document.querySelectorAll("table")) {
    table.querySelectorAll("thead th").forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const descending = head.getAttribute("aria-sort") !== "descending";
        for (const other of table.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows].sort((a, b) => {
          const one = valueOf(a.cells[column]), other = valueOf(b.cells[column]);
          const order = typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(String(other));
          return descending ? -order : order;
        });
        table.tBodies[0].append(...rows);
      });
    });
  }
  for (const input of document.querySelectorAll("input[data-filters]")) {
    const rows = [...document.getElementById(input.dataset.filters).tBodies[0].rows];
    const count = document.querySelector(`output[for="${input.id}"]`);
    const filter = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
      count.textContent = rows.filter((row) => !row.hidden).length + " of " + rows.length;
    };
    input.addEventListener("input", filter);
    filter();
  }
  for (const button of document.querySelectorAll("button[data-copies]")) {
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).textContent);
      button.textContent = "copied";
    });
  }
  document.body.classList.add("scripted");
})();
