// What a script of one's own imports so that its requests are in the ledger: `http` in the place of `k6/http`, `grpc` in
// the place of `k6/net/grpc`.
//
//   import { http } from './hoplab.js';
//   K6_LOG_OUTPUT='loki=http://127.0.0.1:4317/loki/api/v1/push,limit=2000,pushPeriod=500ms,level=info' k6 run script.js
//
// A request is sent with `traceparent` and `tracestate`. One that is sampled writes a line into k6's log when it is over,
// which k6 itself pushes to the sidecar in the background: in no metric, and all of them before it ends.
//
// SAMPLE_EVERY: one request in so many is traced (1); 0 traces nothing. HOPLAB: `on` writes lines wherever k6's log goes,
// `off` none; without it lines are written if K6_LOG_OUTPUT is a `loki`.
// Not traced: `batch`, whose requests k6 gives no times of their own, and streams of gRPC.
//
// What a request is to carry can be said, hop by hop from the edge inwards and in bytes: then run-lab --script holds what was
// sent to it, and a cell that carries something else is INVALID. All requests of an operation say the same.
//
//   http.get(url, { tags: { name: 'page' }, carries: [{ request: 0, reply: 1000 }, { request: 1000, reply: 1000 }] });
//
// `envelope` beside them is how much of a body is no payload, at most (1,024).

import k6http from 'k6/http';
import k6grpc from 'k6/net/grpc';
import exec from 'k6/execution';

const sampleEvery = every(__ENV.SAMPLE_EVERY || '1');
// CELL:ROUND:NONCE, as run-lab wants it said. Load by hand is of no cell, no round and no run.
const edge = __ENV.EDGE || ':0:';
// Where the cell is `*`, as run-lab --script has it, each request is of the cell of its own scenario and operation.
const [asked, ...rest] = edge.split(':');
const writes = __ENV.HOPLAB ? __ENV.HOPLAB === 'on' : /^loki\b/.test(__ENV.K6_LOG_OUTPUT || '');

function every(text) {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 0) {
    throw new Error(`SAMPLE_EVERY=${text}: not a whole number of requests, such as 10; 0 traces nothing`);
  }
  return number;
}

// So many random hexadecimal digits, eight at a time; one that is not 0 is among them.
function digits(count) {
  let text = '';
  while (text.length < count) {
    text += Math.floor(Math.random() * 0x100000000).toString(16).padStart(8, '0');
  }
  return /[1-9a-f]/.test(text) ? text : digits(count);
}

// A text as run-lab calls cells: other characters are hyphens, and what is too long is cut.
const plain = (text) => Array.from(text).slice(0, 120).join('').replace(/[^A-Za-z0-9/._\-{}$ ]/g, '-');
// As `tracestate` has it: what is no letter, digit or one of `-_.` is written as in URLs.
const encoded = (text) => encodeURIComponent(text).replace(/[!'()*~]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

// What the lab is told of whose request it is.
function edgeOf(operation) {
  if (asked !== '%2A') {
    return edge;
  }
  let scenario = 'none';
  try {
    scenario = exec.scenario.name;
  } catch (error) {}
  const whole = [encoded(`${plain(scenario).replace(/ /g, '-')} ${plain(operation)}`), ...rest].join(':');
  // A member of `tracestate` has 256 characters, and a span goes before this.
  return whole.length <= 239 ? whole : ['', ...rest].join(':');
}

// Whose request it is: new ids, and the headers that say so. `operation` is what its author calls it, or its method and
// path.
export function context(sampled, operation = '') {
  const [trace, span, edge] = [digits(32), digits(16), edgeOf(operation)];
  const headers = { traceparent: `00-${trace}-${span}-${sampled ? '01' : '00'}` };
  if (sampled) {
    headers.tracestate = `hoplab=${span}:${edge}`;
  }
  return { trace, span, sampled, headers, edge };
}

// Milliseconds since the test began, to the nanosecond: the only clock of a script that is finer than a millisecond.
const now = () => exec.instance.currentTestRunDuration;

// Writes the line of a request that is over. The sidecar dates it by the time that k6's log gives the line, less `since`:
// what has passed from the answer until here.
function write(context, weight, over, about) {
  const line = { v: 1, trace: context.trace, span: context.span, edge: context.edge, weight };
  // Outside of a scenario (setup, teardown) there is none.
  try {
    line.scenario = exec.scenario.name;
  } catch (error) {}
  console.info(`hoplab ${JSON.stringify(Object.assign(line, about, { since: now() - over }))}`);
}

// A URL in its parts, without what is in its query: ids there would be operations without end.
function parts(url) {
  const [, peer = '', path = ''] = /^[a-z]+:\/\/(?:[^/?#@]*@)?([^/?#]*)([^?#]*)/i.exec(url) || [];
  return { peer, path: path || '/' };
}

// Tells of a request by HTTP that is over. `name` is what its author calls all requests of its kind, if anything.
export function tell(context, weight, method, url, name, reply) {
  if (!context.sampled || !writes) {
    return;
  }
  const over = now();
  const { peer, path } = parts(url);
  const { blocked, duration } = reply.timings;
  const about = { kind: 'http', method, name: name || `${method} ${path}`, named: Boolean(name), peer };
  about.status = reply.status;
  if (reply.status === 0 || reply.status >= 400) {
    about.error = reply.error || `status ${reply.status}`;
  }
  const length = reply.headers && reply.headers['Content-Length'];
  if (/^\d+$/.test(length)) {
    about.reply = Number(length);
  }
  // `blocked` runs until there is a connection: `connecting` is in it.
  write(context, weight, over, Object.assign(about, { blocked, duration }));
}

const draws = () => sampleEvery > 0 && Math.floor(Math.random() * sampleEvery) === 0;

// By this tag run-lab knows what a request is to carry: REQUEST/REPLY or REQUEST/REPLY/ENVELOPE for each hop.
const CARRIES = 'hoplab_carries';
const whole = (bytes) => Number.isSafeInteger(bytes) && bytes >= 0;

function carried(hops) {
  const one = ({ request, reply, envelope, ...more }) => {
    const bytes = envelope === undefined ? [request, reply] : [request, reply, envelope];
    return bytes.every(whole) && Object.keys(more).length === 0 ? bytes.join('/') : null;
  };
  const all = Array.isArray(hops) ? hops.map(one) : [null];
  if (all.length === 0 || all.includes(null)) {
    const like = '[{ request: 0, reply: 1000 }], in whole bytes; `envelope` may be beside them';
    throw new Error(`carries: ${JSON.stringify(hops)} is not a list of hops such as ${like}`);
  }
  return all.join(',');
}

// The parameters of a request with the headers of its context, and with what it is to carry as a tag.
function traced(params, key, headers) {
  const { carries, ...all } = params ?? {};
  all[key] = Object.assign({}, all[key], headers);
  if (carries !== undefined) {
    all.tags = Object.assign({}, all.tags, { [CARRIES]: carried(carries) });
  }
  return all;
}

// Of a URL, or of one that k6's `http.url` made, which has a name.
function plainUrl(url) {
  const template = typeof url === 'object' && url !== null && typeof url.url === 'string';
  return template ? { text: url.url, name: url.name } : { text: String(url) };
}

// What a request is called that has no name.
const operation = (method, url) => `${method.toUpperCase()} ${parts(url).path}`;
const tagged = (params) => params && params.tags && params.tags.name;

// A request that is about to be made: its parameters, and what is to be done with its reply.
function begin(method, url, params) {
  const { text, name } = plainUrl(url);
  const called = tagged(params) || name;
  const one = context(draws(), called || operation(method, text));
  const told = (reply) => {
    tell(one, sampleEvery, method.toUpperCase(), text, called, reply);
    return reply;
  };
  return { params: traced(params, 'headers', one.headers), told };
}

function request(method, url, body, params) {
  const call = begin(method, url, params);
  return call.told(k6http.request(method, url, body, call.params));
}

async function asyncRequest(method, url, body, params) {
  const call = begin(method, url, params);
  return call.told(await k6http.asyncRequest(method, url, body, call.params));
}

// Each request of a batch says that it is not traced, so that no service traces a part of it on its own.
function batch(requests) {
  const untraced = (params) => traced(params, 'headers', context(false).headers);
  const one = (each) => {
    if (typeof each === 'string') {
      return ['GET', each, null, untraced()];
    }
    if (Array.isArray(each)) {
      const [method, url, body, params] = each;
      return [method, url, body, untraced(params)];
    }
    return Object.assign({}, each, { params: untraced(each.params) });
  };
  return k6http.batch(
    Array.isArray(requests)
      ? requests.map(one)
      : Object.fromEntries(Object.entries(requests).map(([name, each]) => [name, one(each)])),
  );
}

// `k6/http`, traced. What is not listed is k6's own.
export const http = Object.assign({}, k6http, {
  request,
  asyncRequest,
  batch,
  get: (url, params) => request('GET', url, null, params),
  head: (url, params) => request('HEAD', url, null, params),
  post: (url, body, params) => request('POST', url, body, params),
  put: (url, body, params) => request('PUT', url, body, params),
  patch: (url, body, params) => request('PATCH', url, body, params),
  del: (url, body, params) => request('DELETE', url, body, params),
  options: (url, body, params) => request('OPTIONS', url, body, params),
});

// A client of gRPC, traced. k6 tells a script nothing of the time that a call takes: the line has what the script's own
// clock saw around it, the making of the message and the looking at the answer included, and no connection.
class Client {
  constructor() {
    this.inner = new k6grpc.Client();
    this.address = '';
  }

  load(...args) {
    return this.inner.load(...args);
  }

  loadProtoset(...args) {
    return this.inner.loadProtoset(...args);
  }

  connect(address, params) {
    this.address = String(address);
    return this.inner.connect(address, params);
  }

  healthcheck(...args) {
    return this.inner.healthcheck(...args);
  }

  close() {
    return this.inner.close();
  }

  invoke(method, message, params) {
    const call = this.begin(method, params);
    return call.told(this.inner.invoke(method, message, call.params));
  }

  async asyncInvoke(method, message, params) {
    const call = this.begin(method, params);
    return call.told(await this.inner.asyncInvoke(method, message, call.params));
  }

  // A call that is about to be made: its parameters, and what is to be done with its reply.
  begin(method, params) {
    const name = tagged(params) || method.replace(/^\//, '');
    const one = context(draws(), name);
    const began = now();
    const told = (reply) => {
      this.tell(one, name, reply, began, now());
      return reply;
    };
    return { params: traced(params, 'metadata', one.headers), told };
  }

  tell(one, name, reply, began, over) {
    if (!one.sampled || !writes) {
      return;
    }
    const about = { kind: 'grpc', name, named: true, peer: this.address, status: reply.status };
    if (reply.status !== k6grpc.StatusOK) {
      about.error = (reply.error && reply.error.message) || `status ${reply.status}`;
    }
    write(one, sampleEvery, over, Object.assign(about, { duration: over - began }));
  }
}

// `k6/net/grpc`, traced. Streams are k6's own.
export const grpc = Object.assign({}, k6grpc, {
  Client,
  Stream: function Stream(client, ...rest) {
    return new k6grpc.Stream(client instanceof Client ? client.inner : client, ...rest);
  },
});
