// k6's module `k6/metrics`.

import { host } from 'double:host';

const kind = (kind) =>
  class {
    constructor(name, time = false) {
      this.name = String(name);
      host('metric', { name: this.name, kind, time: Boolean(time) });
    }

    add(value, tags = {}) {
      host('add', { name: this.name, value: Number(value), tags });
    }
  };

export const Counter = kind('counter');
export const Gauge = kind('gauge');
export const Rate = kind('rate');
export const Trend = kind('trend');
export default { Counter, Gauge, Rate, Trend };
