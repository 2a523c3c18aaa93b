// Runs a script as k6 would, in the world that `run.json` beside it describes, and prints what it did as JSON.
//
// In `run.json`: the `script`, its variables (`env`), `iterations`, how long ago the scenario began (`ago_ms`), the
// `answers` in turn, of which the last goes on, what common and own e-mails `counts` have, and a `summary`.

import { readFileSync } from 'fs';

const run = JSON.parse(readFileSync('run.json', 'utf8'));
globalThis.__ENV = run.env ?? {};
globalThis.open = (path) => readFileSync(path, 'utf8');
const lines = [];
console.info = (...words) => lines.push(words.join(' '));

const { world } = await import('./node_modules/k6/world.js');
world.startTime = Date.now() - (run.ago_ms ?? 0);

// The answer to a question of users.js, made of a table of e-mails.
function counted(asked) {
  const email = decodeURIComponent(asked.url.split('email=')[1] ?? '');
  const protocol = asked.url.includes('/grpc/') ? 'grpc' : 'rest';
  return { body: JSON.stringify({ protocol, email, count: run.counts[email] ?? 0 }) };
}
let next = 0;
world.answer = (asked) => {
  if (asked.url?.endsWith('/healthz')) {
    return { status: 404 };
  }
  const answers = run.answers ?? [{}];
  const answer = answers[Math.min(next, answers.length - 1)];
  next += 1;
  return run.counts === undefined ? answer : { ...counted(asked), ...answer };
};

let thrown = null;
let script = {};
try {
  script = await import(`./${run.script}`);
  for (let iteration = 0; iteration < (run.iterations ?? 1) && script.default; iteration += 1) {
    world.iteration = iteration;
    await script.default();
  }
} catch (error) {
  thrown = error.message;
}
const summary = run.summary === undefined ? null : script.handleSummary(run.summary);
const { asked, checks, metrics } = world;
console.log(JSON.stringify({ options: script.options ?? null, asked, checks, metrics, lines, summary, thrown }));
