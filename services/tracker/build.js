// Makes the file of which the ingress puts together each site's script, and says what scripts weigh:
//   node services/tracker/build.js build/tracker/footfall.js
// It has pieces of two lines, the first of which says what the second is: "//# head" and "//# tail" (of core.js; every
// script has them), "//# part NAME…" (of parts/; in the scripts that have one of these). They are made small as one
// program, so that they share their names. A debugger statement stands between any two: nothing is moved over that, but
// for variables of parts without a first value, which the head would have to carry.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { minify } from 'terser';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const CUT = 'debugger;';
const PLACE = '//# parts\n'; // of the parts in core.js
const SITE = '"9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d");\n'; // what the ingress ends a script with

// The files of parts/, in their order in a script. A file's name is the part's; what several share is named by them.
const FILES = ['named', 'dnt', 'hash', 'manual', 'visitor', 'forget', 'metadata', 'exit', 'outbound downloads',
  'outbound', 'downloads', 'forms', 'tagged', '404'];

const read = (name) => fs.readFileSync(path.join(HERE, name), 'utf8');

async function makePieces() {
  const [head, tail] = read('core.js').split(PLACE);
  const sources = [head, ...FILES.map((name) => read(`parts/${name.replace(' ', '_')}.js`)), tail];
  const { code } = await minify(sources.join(CUT), {
    ecma: 2018,
    toplevel: true,
    compress: { passes: 3, drop_debugger: false },
  });
  const lines = code.split(CUT);
  if (lines.length !== sources.length || code.includes('\n')) throw new Error('the pieces cannot be told apart');
  lines[0] = `!function(site){try{${lines[0]}`;
  lines[lines.length - 1] += '}catch(e){}}(';
  return ['head', ...FILES.map((name) => `part ${name}`), 'tail'].map((kind, i) => ({ kind, line: lines[i] }));
}

// Without names: of the largest script that there is.
function weigh(pieces, names) {
  const isIn = ({ kind }) => !kind.startsWith('part ') || !names || kind.split(' ').some((name) => names.includes(name));
  const script = pieces.filter(isIn).map(({ line }) => line).join('') + SITE;
  return `${script.length} bytes, ${gzipSync(script).length} gzip`;
}

const pieces = await makePieces();
const [file] = process.argv.slice(2);
fs.mkdirSync(path.dirname(file), { recursive: true });
fs.writeFileSync(file, pieces.map(({ kind, line }) => `//# ${kind}\n${line}\n`).join(''));
console.log(`  script for pages: core ${weigh(pieces, ['forget'])}; with every part ${weigh(pieces)}`);
