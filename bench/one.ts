// Runs one measurement for the runner, in a process of its own: `node bench/one.ts FILE FUNCTION LISTS` prints its rows.

const [file, name, lists] = process.argv.slice(2);
const measurement = (await import(new URL(file!, import.meta.url).href)) as Record<
  string,
  (lists: string) => Promise<unknown>
>;
process.stdout.write(`ROWS${JSON.stringify(await measurement[name!]!(lists!))}`);
process.exit();
