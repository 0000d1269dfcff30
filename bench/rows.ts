// One measurement of the bench, as every bench file gives it and the common runner prints it.

export type BenchRow = {
  readonly name: string;
  readonly figure: number;
  readonly unit: string;
  /** CPU time per operation, where an operation makes sense */
  readonly cpuMicros?: number;
  /** memory that the thing measured added */
  readonly memoryMb?: number;
};

/** The rows as lines of aligned columns. */
export function tableOf(rows: readonly BenchRow[]): string {
  const cells = rows.map((row) => [
    row.name,
    plain(row.figure),
    row.unit,
    row.cpuMicros === undefined ? '' : `${plain(row.cpuMicros)} µs CPU`,
    row.memoryMb === undefined ? '' : `${plain(row.memoryMb)} MB`,
  ]);
  const widths = [0, 1, 2, 3, 4].map((column) =>
    Math.max(0, ...cells.map((row) => (row[column] ?? '').length)),
  );
  const aligned = (cell: string, column: number): string => {
    const width = widths[column] as number;
    return column === 1 || column > 2 ? cell.padStart(width) : cell.padEnd(width);
  };
  return cells.map((row) => row.map(aligned).join('  ').trimEnd()).join('\n');
}

function plain(figure: number): string {
  if (Number.isInteger(figure)) return figure.toLocaleString('en-GB');
  return figure.toPrecision(Math.abs(figure) >= 100 ? 4 : 3);
}
