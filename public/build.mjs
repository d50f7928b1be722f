/*
 * build.mjs - builds the page: node build.mjs OUTDIR
 *
 * Bundles the scripts and styles under names that carry their hash, writes index.html with those
 * names, copies the stand-alone Socket.IO clients for GET /socket.io/, and puts a .br and a .gz
 * copy beside each text file worth it. A file that would not change is not touched; assets of an earlier build
 * are removed. Called by: Makefile.am. Needs `npm ci` in this folder first.
 */
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';

const HERE = dirname(fileURLToPath(import.meta.url));
const PACK_FROM_BYTES = 1024; /* below, the header costs what the packing saves */
const TARGETS = ['chrome111', 'firefox115', 'safari16.4']; /* the oldest that know color-mix() */

/* The tags of index.html that name a source, and the entry point each stands for. */
const ENTRIES = { theme: 'js/theme.js', page: 'js/start.js', style: 'css/page.css' };

const SOCKET_IO_FILES = [
  'socket.io.js',
  'socket.io.min.js',
  'socket.io.msgpack.min.js',
  'socket.io.esm.min.js',
].flatMap((name) => [name, `${name}.map`]);

const templates = (compileTemplate) => ({
  name: 'templates',
  setup(build) {
    build.onLoad({ filter: /\.html$/ }, async ({ path }) => ({
      contents: compileTemplate(await readFile(path, 'utf8'), relative(HERE, path)),
      resolveDir: HERE,
      loader: 'js',
    }));
  },
});

/* Backbone asks for jQuery; all that a View needs of it is in the slim one. */
const slimJquery = {
  name: 'slim jquery',
  setup(build) {
    build.onResolve({ filter: /^jquery$/ }, ({ kind }) =>
      build.resolve('jquery/slim', { kind, resolveDir: HERE }),
    );
  },
};

/* Returns Map: path below OUTDIR -> bytes. */
async function bundle() {
  const [{ build }, { compileTemplate }] = await Promise.all([
    import('esbuild'),
    import('./templates.mjs'),
  ]);
  const files = new Map();
  const dist = join(HERE, 'dist'); /* only a name: nothing is written there */
  const result = await build({
    absWorkingDir: HERE,
    entryPoints: Object.entries(ENTRIES).map(([out, file]) => ({ in: file, out })),
    outdir: dist,
    entryNames: 'assets/[name]-[hash]',
    bundle: true,
    minify: true,
    sourcemap: true,
    legalComments: 'linked',
    charset: 'utf8',
    format: 'iife',
    target: TARGETS,
    plugins: [templates(compileTemplate), slimJquery],
    write: false,
    metafile: true,
    logLevel: 'error',
  });

  for (const file of result.outputFiles) {
    files.set(relative(dist, file.path), Buffer.from(file.contents));
  }
  files.set('index.html', Buffer.from(await indexPage(result.metafile.outputs)));
  return files;
}

/* index.html with each source replaced by the built file, as an absolute path. */
async function indexPage(outputs) {
  let html = await readFile(join(HERE, 'index.html'), 'utf8');

  for (const [path, output] of Object.entries(outputs)) {
    if (!output.entryPoint) continue;
    const source = `"${output.entryPoint}"`;
    if (!html.includes(source)) throw new Error(`index.html does not name ${source}`);
    html = html.replaceAll(source, `"/${relative('dist', path)}"`);
  }
  return html;
}

async function copies() {
  const files = new Map([['favicon.svg', await readFile(join(HERE, 'favicon.svg'))]]);
  const dist = join(HERE, 'node_modules/socket.io-client/dist');

  for (const name of SOCKET_IO_FILES) {
    files.set(`socket.io/${name}`, await readFile(join(dist, name)));
  }
  return files;
}

/* Replaces a file in one step, so that a running server never reads half of it. */
async function put(path, bytes) {
  const old = await readFile(path).catch(() => null);

  if (old && old.equals(bytes)) return 0;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.new`, bytes);
  await rename(`${path}.new`, path);
  return 1;
}

async function main(outdir) {
  if (!outdir) throw new Error('usage: node build.mjs OUTDIR');
  const out = resolve(outdir);
  if (out === HERE) throw new Error(`${outdir} is the source folder: choose another OUTDIR`);

  const files = new Map([...(await bundle()), ...(await copies())]);
  for (const [name, bytes] of [...files]) {
    /* node:zlib writes no time into the header: same bytes in, same bytes out */
    if (bytes.length <= PACK_FROM_BYTES) continue;
    files.set(`${name}.gz`, gzipSync(bytes, { level: 9 }));
    files.set(`${name}.br`, brotliCompressSync(bytes));
  }

  let n_written = 0;
  for (const [name, bytes] of files) n_written += await put(join(out, name), bytes);
  for (const name of await readdir(join(out, 'assets'))) {
    if (!files.has(`assets/${name}`)) await rm(join(out, 'assets', name));
  }
  console.log(`page: ${files.size} files, ${n_written} written`);
}

main(process.argv[2]).catch((error) => {
  const is_missing = error.code === 'ERR_MODULE_NOT_FOUND' || error.code === 'ENOENT';
  console.error(`page: ${error.message}${is_missing ? ' (run "npm ci" in public/ first?)' : ''}`);
  process.exitCode = 1;
});
