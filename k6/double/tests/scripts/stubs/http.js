// In the place of k6's module `k6/http`: keeps what is asked, and answers what the world says.

import { world } from './world.js';

// Times as k6 tells them, in milliseconds. Of blocked, 0.2 were connecting.
const TIMINGS = { blocked: 0.5, connecting: 0.2, tls_handshaking: 0, sending: 0.1, waiting: 1.5, receiving: 0.4 };

function request(method, url, body, params = {}) {
  const asked = {
    method,
    url: String(typeof url === 'object' ? url.url : url),
    body: body ?? null,
    headers: { ...params?.headers },
    named: params?.tags?.name ?? url.name ?? null,
    tags: { ...world.tags },
    metadata: { ...world.metadata },
    more: { ...params, headers: undefined, tags: undefined },
  };
  world.asked.push(asked);
  const { status = 200, error = '', headers = {}, ...answer } = world.answer(asked);
  const code = status === 0 ? 1212 : status >= 400 ? 1000 + status : 0;
  return { status, error, error_code: code, headers, timings: { ...TIMINGS, duration: 2 }, ...answer };
}

const bodiless = (method) => (url, params) => request(method, url, null, params);
const bodied = (method) => (url, body, params) => request(method, url, body, params);

export default {
  request,
  asyncRequest: async (...args) => request(...args),
  get: bodiless('GET'),
  head: bodiless('HEAD'),
  post: bodied('POST'),
  put: bodied('PUT'),
  patch: bodied('PATCH'),
  del: bodied('DELETE'),
  options: bodied('OPTIONS'),
  batch(all) {
    const one = (each) => (Array.isArray(each) ? request(...each) : request(each.method, each.url, each.body, each.params));
    const some = (each) => (typeof each === 'string' ? request('GET', each) : one(each));
    return Array.isArray(all)
      ? all.map(some)
      : Object.fromEntries(Object.entries(all).map(([name, each]) => [name, some(each)]));
  },
  url(parts, ...values) {
    const join = (what) => parts.map((part, at) => part + (at < values.length ? what(values[at]) : '')).join('');
    return { name: join(() => '${}'), url: join(String) };
  },
  cookieJar: () => ({}),
  expectedStatuses: (...statuses) => statuses,
};
