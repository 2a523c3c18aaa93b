// k6's module `k6/execution`, as far as the double knows what it tells.

import { cannot, host } from 'double:host';

// An object whose values are looked up when they are asked for; others end the run.
const live = (what, known, more = {}) =>
  new Proxy(more, {
    get(target, name) {
      if (name in target || typeof name === 'symbol') {
        return target[name];
      }
      return known.includes(name) ? host('state', what)[name] : cannot(`tell exec.${what}.${name}`);
    },
  });

// Tags or metadata of a user: what is set goes with all that it tells from then on.
const kept = (what) =>
  new Proxy(
    {},
    {
      set(target, name, value) {
        if (!['string', 'number', 'boolean'].includes(typeof value)) {
          throw new TypeError(`only String, Boolean and Number types are accepted as a metric ${what} value`);
        }
        target[name] = value;
        host('keep', { what, name, value: String(value) });
        return true;
      },
      deleteProperty(target, name) {
        delete target[name];
        host('keep', { what, name, value: null });
        return true;
      },
    },
  );

const metrics = { tags: kept('tags'), metadata: kept('metadata') };

export const scenario = live('scenario', ['name', 'executor', 'startTime', 'iterationInInstance', 'iterationInTest']);
export const instance = live('instance', ['currentTestRunDuration']);
export const vu = live('vu', ['idInInstance', 'idInTest', 'iterationInInstance', 'iterationInScenario'], {
  metrics,
  tags: metrics.tags,
});
export const test = live('test', [], { abort: (text = '') => host('abort', { text: String(text) }) });
export default { scenario, instance, vu, test };
