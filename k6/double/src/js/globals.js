// What is there before a script is: it is a module that the script's first import may already need.

import { host } from 'double:host';

const { env, vu } = host('globals');
globalThis.__ENV = env;
globalThis.__VU = vu;
globalThis.__ITER = 0;
globalThis.open = (path, mode = '') => host('open', { path: String(path), mode: String(mode) });

const written = (word) => (typeof word === 'object' && word !== null ? JSON.stringify(word) : String(word));
const say = (level) => (...words) => host('console', { level, text: words.map(written).join(' ') });
globalThis.console = {
  debug: say('debug'),
  error: say('error'),
  info: say('info'),
  log: say('info'),
  warn: say('warning'),
};
