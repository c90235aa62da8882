// Lets a reader sort and filter the tables of the page, and copy its command.
"use strict";
(() => {
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
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of document.getElementById(input.dataset.filters).tBodies[0].rows) {
        row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
      }
    });
  }
  for (const button of document.querySelectorAll("button[data-copies]")) {
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).textContent);
      button.textContent = "copied";
    });
  }
  document.body.classList.add("scripted");
})();
