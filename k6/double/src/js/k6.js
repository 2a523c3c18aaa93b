// k6's module `k6`.

import { cannot, host } from 'double:host';

export function check(value, tests, tags = {}) {
  let all = true;
  for (const [name, test] of Object.entries(tests)) {
    const result = typeof test === 'function' ? test(value) : test;
    if (typeof result?.then === 'function') {
      cannot(`wait for the check ${JSON.stringify(name)}`);
    }
    all = host('check', { name, passed: Boolean(result), tags }) && all;
  }
  return all;
}

export function group(name, inside) {
  const began = host('group', { enter: String(name) });
  try {
    const result = inside();
    if (typeof result?.then === 'function') {
      cannot(`wait for the group ${JSON.stringify(name)}`);
    }
    return result;
  } finally {
    host('group', { began });
  }
}

export const sleep = (seconds) => host('sleep', { seconds: Number(seconds) });

export function fail(text = '') {
  throw new Error(String(text));
}

export const randomSeed = () => cannot('seed Math.random');

export default { check, group, sleep, fail, randomSeed };
