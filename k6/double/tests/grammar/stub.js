// In the place of all of k6's modules: keeps the body that was asked with.

export class Counter {
  add() {}
}
export class Rate {
  add() {}
}
export function check() {}
export default {
  scenario: { startTime: 0, iterationInTest: 0 },
  vu: { metrics: { tags: {}, metadata: {} } },
  request(method, url, body) {
    globalThis.asked = body;
    return { status: 200, body: '' };
  },
};
