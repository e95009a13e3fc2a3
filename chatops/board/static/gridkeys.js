// Where an arrow key leads in a grid whose rows have different lengths.

/**
 * The cell after a key; null: the key means nothing here. `lengths`: the cells of each row besides
 * its header, which is column 0. `page`: rows of a page.
 */
export function cellAfter(event, { row, column }, lengths, page) {
  const last = lengths.length - 1;
  const to = (newRow, newColumn) => {
    const inside = Math.max(0, Math.min(last, newRow));
    return { row: inside, column: Math.max(0, Math.min(lengths[inside], newColumn)) };
  };
  switch (event.key) {
    case "ArrowRight":
      return to(row, column + 1);
    case "ArrowLeft":
      return to(row, column - 1);
    case "ArrowDown":
      return to(row + 1, column);
    case "ArrowUp":
      return to(row - 1, column);
    case "PageDown":
      return to(row + page, column);
    case "PageUp":
      return to(row - page, column);
    case "Home":
      return event.ctrlKey ? to(0, 0) : to(row, 0);
    case "End":
      return event.ctrlKey ? to(last, lengths[last]) : to(row, lengths[row]);
    default:
      return null;
  }
}
