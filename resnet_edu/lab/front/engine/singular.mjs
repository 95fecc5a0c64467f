// Singular values of a matrix: Householder's reduction to two diagonals, then implicit QL steps on the symmetric
// tridiagonal matrix of zero diagonal whose eigenvalues they are, with both signs (Golub and Van Loan, "Matrix
// Computations", sections 5.4.8, 8.3 and 8.6.1). Exact to rounding of the largest one, also where many are zero.

/**
 * Zero a row or column behind its first entry: v (in place) and beta of I - beta v vᵀ; returns what remains. What is
 * below `tiny` is rounding, and counts as zero.
 */
function reflect(v, tiny) {
  let norm = 0;
  for (const value of v) norm += value * value;
  norm = Math.sqrt(norm);
  if (norm <= tiny) return { beta: 0, left: 0 };
  const left = v[0] > 0 ? -norm : norm;
  v[0] -= left;
  return { beta: -1 / (left * v[0]), left };
}

/** The two diagonals of a rows × columns matrix (rows >= columns), one entry of each in turn; `a` is used up. */
function twoDiagonals(a, rows, columns) {
  const found = [];
  const sums = new Float64Array(columns);
  const tiny = 1e-20 * Math.sqrt(a.reduce((sum, value) => sum + value * value, 0));
  for (let j = 0; j < columns; j++) {
    const down = Float64Array.from({ length: rows - j }, (_, i) => a[(j + i) * columns + j]);
    const column = reflect(down, tiny);
    found.push(column.left);
    sums.fill(0);
    for (let i = 0; i < rows - j && column.beta; i++) {
      for (let c = j + 1, at = (j + i) * columns; c < columns; c++) sums[c] += down[i] * a[at + c];
    }
    for (let i = 0; i < rows - j && column.beta; i++) {
      const factor = column.beta * down[i];
      for (let c = j + 1, at = (j + i) * columns; c < columns; c++) a[at + c] -= factor * sums[c];
    }
    if (j + 1 === columns) break;
    const along = a.slice(j * columns + j + 1, (j + 1) * columns);
    const row = reflect(along, tiny);
    found.push(row.left);
    for (let i = j + 1; i < rows && row.beta; i++) {
      const at = i * columns + j + 1;
      let sum = 0;
      for (let c = 0; c < along.length; c++) sum += a[at + c] * along[c];
      sum *= row.beta;
      for (let c = 0; c < along.length; c++) a[at + c] -= sum * along[c];
    }
  }
  return found;
}

/** Eigenvalues of a symmetric tridiagonal matrix with a zero diagonal, in no order. */
function eigenvalues(off) {
  const size = off.length + 1;
  const d = new Float64Array(size);
  const e = Float64Array.from([...off, 0]);
  const tiny = 2 ** -52 * off.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
  for (let l = 0; l < size; l++) for (let round = 0; round < 60; round++) {
    let m = l;
    while (m < size - 1 && Math.abs(e[m]) > tiny) m++;
    if (m === l) break;
    let g = (d[l + 1] - d[l]) / (2 * e[l]);
    g = d[m] - d[l] + e[l] / (g + (g < 0 ? -1 : 1) * Math.hypot(g, 1));
    let [s, c, p] = [1, 1, 0];
    let i = m - 1;
    for (; i >= l; i--) {
      const [f, b] = [s * e[i], c * e[i]];
      const r = Math.hypot(f, g);
      e[i + 1] = r;
      if (r === 0) {
        d[i + 1] -= p;
        e[m] = 0;
        break;
      }
      s = f / r;
      c = g / r;
      g = d[i + 1] - p;
      const t = (d[i] - g) * s + 2 * c * b;
      p = s * t;
      d[i + 1] = g + p;
      g = c * t - b;
    }
    if (i >= l) continue;
    d[l] -= p;
    e[l] = g;
    e[m] = 0;
  }
  return d;
}

/** Singular values of a rows × columns matrix (row by row), largest first: min(rows, columns) of them. */
export function singularValues(matrix, rows, columns) {
  let a = Float64Array.from(matrix);
  if (rows < columns) {
    a = a.map((_, n) => matrix[(n % rows) * columns + Math.floor(n / rows)]);
    [rows, columns] = [columns, rows];
  }
  return eigenvalues(twoDiagonals(a, rows, columns)).sort().reverse().slice(0, columns).map(Math.abs);
}
