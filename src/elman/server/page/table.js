// The rows of a table, each a list of texts; the first is the row's heading.
export function fillTable(parent, rows) {
  const made = rows.map((texts) => {
    const row = document.createElement("tr");
    texts.forEach((text, index) => {
      const cell = document.createElement(index ? "td" : "th");
      if (!index) cell.scope = "row";
      cell.textContent = text;
      row.append(cell);
    });
    return row;
  });
  parent.querySelector("tbody").replaceChildren(...made);
}
