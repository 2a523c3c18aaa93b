// k6's module `k6/http`: HTTP/1.1 without TLS, one request at a time, as most scripts ask.

import { cannot, host } from 'double:host';

const RANGES = 'ranges of statuses';
const ranged = (status) => (typeof status === 'number' ? [status, status] : [status.min, status.max]);
const expectedStatuses = (...statuses) => ({ [RANGES]: statuses.map(ranged) });
let callback = expectedStatuses({ min: 200, max: 399 });
const setResponseCallback = (to) => {
  callback = to;
};

// Milliseconds of a time-out: a number of them, or a text of k6's.
function milliseconds(time) {
  if (time === undefined) {
    return 60000;
  }
  return typeof time === 'number' ? time : host('milliseconds', String(time));
}

const FORM = 'application/x-www-form-urlencoded';

// A body and its headers as k6 sends them: an object is a form.
function sent(body, headers) {
  if (body === null || body === undefined || typeof body === 'string') {
    return [body ?? null, headers];
  }
  if (typeof body !== 'object' || body instanceof ArrayBuffer || ArrayBuffer.isView(body)) {
    cannot('send a body that is neither text nor a form');
  }
  const encode = (text) => encodeURIComponent(text).replace(/%20/g, '+');
  const form = Object.entries(body).map(([name, value]) => `${encode(name)}=${encode(value)}`);
  const named = Object.keys(headers).some((name) => name.toLowerCase() === 'content-type');
  return [form.join('&'), named ? headers : { ...headers, 'Content-Type': FORM }];
}

const NOT_YET = ['auth', 'compression', 'cookies', 'jar'];

class Response {
  constructor(told, request) {
    Object.assign(this, told, { request, remote_ip: '', cookies: {} });
  }

  json(selector) {
    const whole = JSON.parse(this.body);
    if (selector === undefined) {
      return whole;
    }
    if (!/^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$/.test(selector)) {
      cannot(`select ${JSON.stringify(selector)} of JSON`);
    }
    return selector.split('.').reduce((value, name) => value?.[name], whole);
  }

  html() {
    cannot('read HTML');
  }

  submitForm() {
    cannot('submit a form');
  }

  clickLink() {
    cannot('follow a link');
  }
}

function request(method, url, body, params) {
  const given = params ?? {};
  NOT_YET.filter((name) => given[name]).forEach((name) => cannot(`heed the parameter ${name} of a request`));
  if (!['text', 'none', undefined].includes(given.responseType)) {
    cannot(`give a response as ${given.responseType}`);
  }
  const template = typeof url === 'object' && url !== null && typeof url.url === 'string';
  const tags = { ...(template ? { name: url.name } : {}), ...given.tags };
  const [text, headers] = sent(body, { ...given.headers });
  const one = given.responseCallback === undefined ? callback : given.responseCallback;
  const asked = {
    method: String(method).toUpperCase(),
    url: String(template ? url.url : url),
    body: text,
    headers: Object.entries(headers).map(([name, value]) => [name, String(value)]),
    tags,
    timeout: milliseconds(given.timeout),
    redirects: given.redirects ?? null,
    expected: one === null ? null : one[RANGES],
    keep: given.responseType !== 'none',
  };
  const { method: verb, url: to } = asked;
  return new Response(host('http', asked), { method: verb, url: to, headers, body: text ?? '' });
}

const get = (url, params) => request('GET', url, null, params);
const head = (url, params) => request('HEAD', url, null, params);
const post = (url, body, params) => request('POST', url, body, params);
const put = (url, body, params) => request('PUT', url, body, params);
const patch = (url, body, params) => request('PATCH', url, body, params);
const del = (url, body, params) => request('DELETE', url, body, params);
const options = (url, body, params) => request('OPTIONS', url, body, params);

const asyncRequest = () => cannot('make requests beside each other (http.asyncRequest)');
const batch = () => cannot('make requests beside each other (http.batch)');
const file = () => cannot('send a file');
const cookieJar = () => cannot('give its cookies out');

function url(parts, ...values) {
  const join = (what) => parts.map((part, at) => part + (at < values.length ? what(values[at]) : '')).join('');
  return { name: join(() => '${}'), url: join(String) };
}

export { request, asyncRequest, batch, get, head, post, put, patch, del, options, url, file, cookieJar };
export { expectedStatuses, setResponseCallback };
export default {
  request,
  asyncRequest,
  batch,
  get,
  head,
  post,
  put,
  patch,
  del,
  options,
  url,
  file,
  cookieJar,
  expectedStatuses,
  setResponseCallback,
};
