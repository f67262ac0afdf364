// Sums, a recursion and a heap to be sampled.
function hash(text) {
  let h = 2166136261;
  for (let at = 0; at < text.length; at++) h = Math.imul(h ^ text.charCodeAt(at), 16777619);
  return h >>> 0;
}
function fold(depth, text) {
  return depth === 0 ? hash(text) : hash(text) + fold(depth - 1, text);
}
function load(row) {
  return { row, text: `row ${row} of the table`.repeat(40), cells: new Array(64).fill(row) };
}
function main(rows) {
  const kept = [];
  let sum = 0;
  for (let row = 0; row < rows; row++) {
    const line = load(row);
    if (row % 8 === 0) kept.push(line);
    sum += fold(row % 5, line.text);
  }
  return [sum, kept];
}
const [sum, kept] = main(Number(process.argv[2] ?? 4000));
console.log(sum, kept.length);
